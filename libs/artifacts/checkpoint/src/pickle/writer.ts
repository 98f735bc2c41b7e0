import { InvalidInputError } from '@online-cnclip/foundation';
import { PickleFloat, PickleGlobal, PickleObject, PickleTuple, type PickleValue } from './values.ts';

/** A value that is written as a call of a global, or as a persistent id. */
export class PickleCall extends PickleObject {
  readonly global: PickleGlobal;
  readonly args: readonly PickleValue[];
  constructor(global: PickleGlobal, args: readonly PickleValue[]) {
    super();
    this.global = global;
    this.args = args;
  }
}

export class PicklePersistentId extends PickleObject {
  readonly id: PickleTuple;
  constructor(id: PickleTuple) {
    super();
    this.id = id;
  }
}

/**
 * Writes a value as protocol 2, the protocol of torch.save, with the operations that torch's weights-only
 * loader knows. Only globals are memoised: everything else in a checkpoint is written once.
 */
export function writePickle(value: PickleValue): Buffer {
  const writer = new Writer();
  writer.write(value);
  return writer.finish();
}

class Writer {
  readonly #parts: Buffer[] = [Buffer.from([0x80, 2])];
  readonly #memo = new Map<string, number>();

  finish(): Buffer {
    this.#op('.');
    return Buffer.concat(this.#parts);
  }

  write(value: PickleValue): void {
    if (value === null) this.#op('N');
    else if (typeof value === 'boolean') this.#parts.push(Buffer.from([value ? 0x88 : 0x89]));
    else if (typeof value === 'number')
      Number.isSafeInteger(value) ? this.#integer(value) : this.#float(value);
    else if (typeof value === 'string') this.#text(value);
    else if (Array.isArray(value)) this.#list(value);
    else if (value instanceof Map) this.#dict(value);
    else if (value instanceof PickleTuple) this.#tuple(value.items);
    else if (value instanceof PickleFloat) this.#float(value.value);
    else if (value instanceof PickleGlobal) this.#global(value);
    else if (value instanceof PickleCall) this.#call(value);
    else if (value instanceof PicklePersistentId) {
      this.write(value.id);
      this.#op('Q');
    } else throw new InvalidInputError(`${String(value)} cannot be written to a checkpoint`);
  }

  #op(code: string): void {
    this.#parts.push(Buffer.from(code, 'latin1'));
  }

  #integer(value: number): void {
    if (value === (value & 0xff)) return void this.#parts.push(Buffer.from([0x4b, value]));
    const small = value === (value | 0);
    const bytes = Buffer.alloc(small ? 5 : 10);
    if (small) {
      bytes[0] = 0x4a;
      bytes.writeInt32LE(value, 1);
    } else {
      bytes.set([0x8a, 8]);
      bytes.writeBigInt64LE(BigInt(value), 2);
    }
    this.#parts.push(bytes);
  }

  #float(value: number): void {
    const bytes = Buffer.alloc(9);
    bytes[0] = 0x47;
    bytes.writeDoubleBE(value, 1);
    this.#parts.push(bytes);
  }

  #text(value: string): void {
    const head = Buffer.alloc(5);
    const bytes = Buffer.from(value, 'utf8');
    head[0] = 0x58;
    head.writeUInt32LE(bytes.length, 1);
    this.#parts.push(head, bytes);
  }

  #list(items: readonly PickleValue[]): void {
    this.#op('](');
    for (const item of items) this.write(item);
    this.#op('e');
  }

  #dict(entries: ReadonlyMap<PickleValue, PickleValue>): void {
    this.#op('}(');
    for (const [key, item] of entries) {
      this.write(key);
      this.write(item);
    }
    this.#op('u');
  }

  #tuple(items: readonly PickleValue[]): void {
    this.#op('(');
    for (const item of items) this.write(item);
    this.#op('t');
  }

  #global({ name }: PickleGlobal): void {
    const known = this.#memo.get(name);
    if (known !== undefined) return void this.#parts.push(Buffer.from([0x68, known]));
    const index = this.#memo.size;
    this.#memo.set(name, index);
    const dot = name.lastIndexOf('.');
    this.#op(`c${name.slice(0, dot)}\n${name.slice(dot + 1)}\n`);
    this.#parts.push(Buffer.from([0x71, index]));
  }

  #call({ global, args }: PickleCall): void {
    this.#global(global);
    this.#tuple(args);
    this.#op('R');
  }
}
