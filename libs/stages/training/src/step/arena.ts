import { InvalidInputError, type NamedArrays, type NdArray, sizeOf } from '@online-cnclip/foundation';
import { type DeviceArray, type RunArray, type Runtime, sharedZeros } from '@online-cnclip/runtime';

/** Names that the research code exempts from weight decay. */
const NO_DECAY = /bn|ln|bias|logit_scale/;

export interface ArenaEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** First element of the tensor in the arena. */
  readonly start: number;
  readonly length: number;
}

/** Which element of an arena each tensor begins at: tensors without weight decay first, each group without gaps. */
export interface ArenaLayout {
  readonly entries: readonly ArenaEntry[];
  readonly length: number;
  /** Where the tensors with weight decay begin. */
  readonly decayStart: number;
}

export function layOut(specs: ReadonlyMap<string, readonly number[]>): ArenaLayout {
  const names = [...specs.keys()];
  const ordered = [
    ...names.filter((name) => NO_DECAY.test(name)),
    ...names.filter((name) => !NO_DECAY.test(name)),
  ];
  let [start, decayStart] = [0, 0];
  const entries = ordered.map((name) => {
    const shape = specs.get(name) ?? [];
    const entry = { name, shape, start, length: sizeOf(shape) };
    start += entry.length;
    if (NO_DECAY.test(name)) decayStart = start;
    return entry;
  });
  return { entries, length: start, decayStart };
}

/** Many tensors, kept where programs run, so that an optimizer can run over them in pieces of any size. */
export interface Arena {
  readonly layout: ArenaLayout;
  /** By name, as inputs and outputs of programs. */
  readonly tensors: ReadonlyMap<string, RunArray>;
  /**
   * The elements from one to before another, as rows `[n]` for a program to work on. Both are where a tensor begins or
   * ends. Arenas of one layout and runtime are cut alike.
   */
  pieces(start: number, end: number): readonly RunArray[];
  /** Copies tensors in. @throws InvalidInputError naming one that is missing or of another shape. */
  load(source: NamedArrays, what: string): void;
  /** Copies one tensor's elements in. */
  write(name: string, values: Float32Array): void;
  /** Makes every element zero. */
  clear(): void;
  /** The tensors in memory: live where they are there anyway, else copies. */
  read(names?: Iterable<string>): Promise<ReadonlyMap<string, NdArray<'float32'>>>;
  /** Lets replicas exchange all elements, in memory; what they leave there is the new content. */
  exchange(work: (elements: Float32Array) => Promise<void>): Promise<void>;
  dispose(): void;
}

/** An arena where the runtime's programs run. */
export function createArena(runtime: Runtime, layout: ArenaLayout): Arena {
  const { deviceArray } = runtime;
  return deviceArray ? new DeviceArena(layout, deviceArray) : new SharedArena(layout);
}

/**
 * Elements that one run of an optimizer's program works on: its temporaries then fit a core's cache instead of
 * going through memory.
 */
const PIECE_ELEMENTS = 2 ** 18;

/** In one stretch of memory that the runtime's threads share. */
class SharedArena implements Arena {
  readonly layout: ArenaLayout;
  readonly tensors: ReadonlyMap<string, NdArray<'float32'>>;
  readonly #data: Float32Array;

  constructor(layout: ArenaLayout) {
    this.layout = layout;
    this.#data = sharedZeros([layout.length]).data;
    this.tensors = new Map(
      layout.entries.map(({ name, shape, start, length }) => [
        name,
        { dtype: 'float32', shape, data: this.#data.subarray(start, start + length) },
      ]),
    );
  }

  pieces(start: number, end: number): readonly RunArray[] {
    return Array.from({ length: Math.ceil((end - start) / PIECE_ELEMENTS) }, (_, i) => {
      const from = start + i * PIECE_ELEMENTS;
      const data = this.#data.subarray(from, Math.min(end, from + PIECE_ELEMENTS));
      return { dtype: 'float32', shape: [data.length], data };
    });
  }

  load(source: NamedArrays, what: string): void {
    for (const [name, { shape, data }] of this.tensors) data.set(elementsOf(source, name, shape, what));
  }

  write(name: string, values: Float32Array): void {
    this.tensors.get(name)?.data.set(values);
  }

  clear(): void {
    this.#data.fill(0);
  }

  async read(): Promise<ReadonlyMap<string, NdArray<'float32'>>> {
    return this.tensors;
  }

  exchange(work: (elements: Float32Array) => Promise<void>): Promise<void> {
    return work(this.#data);
  }

  dispose(): void {}
}

/** One array per tensor on the device: an optimizer's pieces are whole tensors. */
class DeviceArena implements Arena {
  readonly layout: ArenaLayout;
  readonly tensors: ReadonlyMap<string, DeviceArray>;

  constructor(layout: ArenaLayout, deviceArray: NonNullable<Runtime['deviceArray']>) {
    this.layout = layout;
    this.tensors = new Map(layout.entries.map(({ name, shape }) => [name, deviceArray(shape)]));
  }

  pieces(start: number, end: number): readonly RunArray[] {
    return this.layout.entries
      .filter((entry) => entry.start >= start && entry.start + entry.length <= end)
      .map(({ name }) => (this.tensors.get(name) as DeviceArray).flat());
  }

  load(source: NamedArrays, what: string): void {
    for (const [name, array] of this.tensors) array.write(elementsOf(source, name, array.shape, what));
  }

  write(name: string, values: Float32Array): void {
    this.tensors.get(name)?.write(values);
  }

  clear(): void {
    for (const array of this.tensors.values()) array.clear();
  }

  async read(
    names: Iterable<string> = this.tensors.keys(),
  ): Promise<ReadonlyMap<string, NdArray<'float32'>>> {
    const copies = new Map<string, NdArray<'float32'>>();
    for (const name of names) {
      const array = this.tensors.get(name);
      if (array) copies.set(name, { dtype: 'float32', shape: array.shape, data: await array.read() });
    }
    return copies;
  }

  async exchange(work: (elements: Float32Array) => Promise<void>): Promise<void> {
    const elements = sharedZeros([this.layout.length]).data;
    for (const { name, start } of this.layout.entries)
      elements.set(await (this.tensors.get(name) as DeviceArray).read(), start);
    await work(elements);
    for (const { name, start, length } of this.layout.entries)
      this.tensors.get(name)?.write(elements.subarray(start, start + length));
  }

  dispose(): void {
    for (const array of this.tensors.values()) array.dispose();
  }
}

function elementsOf(source: NamedArrays, name: string, shape: readonly number[], what: string): Float32Array {
  const array = source.get(name);
  if (!array) throw new InvalidInputError(`${what} of "${name}" is missing`);
  if (array.dtype !== 'float32' || array.shape.join() !== shape.join())
    throw new InvalidInputError(
      `${what} of "${name}" is ${array.dtype}[${array.shape}], float32[${shape}] expected`,
    );
  return array.data as Float32Array;
}
