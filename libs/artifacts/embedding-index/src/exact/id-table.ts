/** Empty slots at most this share: probes stay short. */
const MAX_LOAD = 0.6;
const MIN_SLOTS = 64;
const EMPTY = -1;

/** Row by 64-bit id, in typed arrays: a million entries take 8 MB, where a Map of bigints takes over 100. */
export class IdTable {
  /** The id of a row that is in the table. */
  readonly #idOf: (row: number) => bigint;
  #slots = new Int32Array(MIN_SLOTS).fill(EMPTY);
  #size = 0;

  constructor(idOf: (row: number) => bigint) {
    this.#idOf = idOf;
  }

  get size(): number {
    return this.#size;
  }

  /** The row of an id; undefined when it is not there. */
  get(id: bigint): number | undefined {
    const row = this.#slots[this.#slotOf(id)] as number;
    return row === EMPTY ? undefined : row;
  }

  /** Lets an id lead to a row, which already has that id. */
  set(id: bigint, row: number): void {
    const slot = this.#slotOf(id);
    if (this.#slots[slot] === EMPTY) this.#size++;
    this.#slots[slot] = row;
    if (this.#size > this.#slots.length * MAX_LOAD) this.#grow();
  }

  delete(id: bigint): void {
    let hole = this.#slotOf(id);
    if (this.#slots[hole] === EMPTY) return;
    this.#size--;
    // Entries behind the hole move up where their probe began before it, so that no probe ends too early.
    const mask = this.#slots.length - 1;
    for (let slot = (hole + 1) & mask; this.#slots[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const row = this.#slots[slot] as number;
      const home = hashOf(this.#idOf(row)) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#slots[hole] = row;
      hole = slot;
    }
    this.#slots[hole] = EMPTY;
  }

  /** Where the id is, or where it would be put. */
  #slotOf(id: bigint): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(id) & mask;
    for (;;) {
      const row = this.#slots[slot] as number;
      if (row === EMPTY || this.#idOf(row) === id) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const rows = this.#slots;
    this.#slots = new Int32Array(rows.length * 2).fill(EMPTY);
    for (const row of rows) if (row !== EMPTY) this.#slots[this.#slotOf(this.#idOf(row))] = row;
  }
}

/** Mixes both halves, so that ids in a row and ids in steps spread alike (Murmur3's finaliser). */
function hashOf(id: bigint): number {
  let hash = Number(BigInt.asIntN(32, id)) ^ Math.imul(Number(BigInt.asIntN(32, id >> 32n)), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
