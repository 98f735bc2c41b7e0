import { type ApplicationError, DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import type { PickleInput } from './input.ts';
import {
  describe,
  type PickleDict,
  PickleGlobal,
  type PickleKey,
  PickleTuple,
  type PickleValue,
} from './values.ts';

// A ViT-H-14 checkpoint with optimizer takes about 100,000 operations. Each makes at most one small object
// (some 200 bytes), so this bounds memory whatever the file says.
const MAX_OPERATIONS = 1_000_000;
// Names and settings are short; a lone string may still be a long log. Keeps one string below the engine's limit.
const MAX_TEXT_BYTES = 1 << 24;

export interface PickleEnvironment {
  /** The allow-list: undefined refuses the global. */
  global(module: string, name: string): PickleGlobal | undefined;
  persistentLoad(id: PickleValue): PickleValue;
}

/**
 * Interprets one pickle (the operations of protocols 2 to 4 that torch.save emits) up to its STOP.
 * No code is run: globals come from the environment's allow-list only, other operations are refused.
 * Format: CPython's Lib/pickletools.py.
 *
 * @throws InvalidInputError naming a global or operation outside the lists, DataLossError for a damaged stream.
 */
export function readPickle(input: PickleInput, environment: PickleEnvironment): PickleValue {
  return new Interpreter(input, environment).run();
}

type Operation = (interpreter: Interpreter) => void;

class Interpreter {
  readonly input: PickleInput;
  readonly environment: PickleEnvironment;
  readonly stack: PickleValue[] = [];
  readonly marks: number[] = [];
  readonly memo = new Map<number, PickleValue>();

  constructor(input: PickleInput, environment: PickleEnvironment) {
    this.input = input;
    this.environment = environment;
  }

  run(): PickleValue {
    for (let count = 0; count < MAX_OPERATIONS; count++) {
      const code = this.input.takeByte();
      if (code === STOP) return this.pop();
      const operation = OPERATIONS.get(code);
      if (!operation) throw this.refused(`operation 0x${code.toString(16).padStart(2, '0')}`);
      operation(this);
    }
    throw this.refused(`more than ${MAX_OPERATIONS} operations`);
  }

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.length > (this.marks.at(-1) ?? 0) ? this.stack.pop() : undefined;
    if (value === undefined) throw this.damaged('takes a value from an empty stack');
    return value;
  }

  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }

  popToMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.damaged('has no mark where one is needed');
    return this.stack.splice(mark);
  }

  pushTuple(length: number): void {
    const items = Array.from({ length }, () => this.pop()).reverse();
    this.push(new PickleTuple(items));
  }

  append(items: PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.damaged(`appends to ${describe(list)}`);
    for (const item of items) list.push(item);
  }

  setItems(items: PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.damaged(`sets items of ${describe(dict)}`);
    if (items.length % 2) throw this.damaged('has a key without a value');
    for (let i = 0; i < items.length; i += 2) dict.set(this.#key(items[i]), items[i + 1] as PickleValue);
  }

  #key(key: PickleValue | undefined): PickleKey {
    if (key !== undefined && (key === null || typeof key !== 'object')) return key;
    throw this.damaged(`has ${describe(key)} as a dict's key`);
  }

  resolveGlobal(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string')
      throw this.damaged('has a global without name');
    const global = this.environment.global(module, name);
    if (!global) throw this.refused(`global "${module}.${name}"`);
    this.push(global);
  }

  reduce(): void {
    const args = this.pop();
    const target = this.pop();
    if (!(target instanceof PickleGlobal) || !target.call) throw this.refused(`call of ${describe(target)}`);
    if (!(args instanceof PickleTuple)) throw this.damaged('calls without a tuple of arguments');
    this.push(target.call(args.items));
  }

  /** Only an ordered dict's attributes (a state_dict's `_metadata`) are set so; they hold nothing that is needed. */
  build(): void {
    this.pop();
    const target = this.top();
    if (!(target instanceof Map)) throw this.refused(`state set on ${describe(target)}`);
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.damaged(`recalls entry ${index}, which it never stored`);
    this.push(value);
  }

  text(length: number, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    if (length > MAX_TEXT_BYTES) throw this.refused(`string of ${length} bytes`);
    this.push(this.input.take(length).toString(encoding));
  }

  integer(length: number): void {
    const bytes = this.input.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    this.push(Number.isSafeInteger(number) ? number : value);
  }

  damaged(what: string): ApplicationError {
    return new DataLossError(`the pickle ${what} (before byte ${this.input.position})`, {
      place: this.input.place,
    });
  }

  refused(what: string): ApplicationError {
    return new InvalidInputError(
      `refuses the pickle's ${what} (before byte ${this.input.position}): not part of a checkpoint of tensors`,
      { place: this.input.place },
    );
  }
}

const STOP = 0x2e;
const uint16 = (i: Interpreter) => i.input.take(2).readUInt16LE();
const uint32 = (i: Interpreter) => i.input.take(4).readUInt32LE();

const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, (i) => void i.input.take(1)], // PROTO
  [0x95, (i) => void i.input.take(8)], // FRAME
  [0x28, (i) => void i.marks.push(i.stack.length)], // MARK
  [0x30, (i) => void i.pop()], // POP
  [0x31, (i) => void i.popToMark()], // POP_MARK
  [0x4e, (i) => i.push(null)], // NONE
  [0x88, (i) => i.push(true)], // NEWTRUE
  [0x89, (i) => i.push(false)], // NEWFALSE
  [0x4b, (i) => i.push(i.input.takeByte())], // BININT1
  [0x4d, (i) => i.push(uint16(i))], // BININT2
  [0x4a, (i) => i.push(i.input.take(4).readInt32LE())], // BININT
  [0x8a, (i) => i.integer(i.input.takeByte())], // LONG1
  [0x47, (i) => i.push(i.input.take(8).readDoubleBE())], // BINFLOAT
  [0x58, (i) => i.text(uint32(i))], // BINUNICODE
  [0x8c, (i) => i.text(i.input.takeByte())], // SHORT_BINUNICODE
  [0x54, (i) => i.text(uint32(i), 'latin1')], // BINSTRING: Python 2's str
  [0x55, (i) => i.text(i.input.takeByte(), 'latin1')], // SHORT_BINSTRING
  [0x7d, (i) => i.push(new Map() as PickleDict)], // EMPTY_DICT
  [0x5d, (i) => i.push([])], // EMPTY_LIST
  [0x29, (i) => i.pushTuple(0)], // EMPTY_TUPLE
  [0x85, (i) => i.pushTuple(1)], // TUPLE1
  [0x86, (i) => i.pushTuple(2)], // TUPLE2
  [0x87, (i) => i.pushTuple(3)], // TUPLE3
  [0x74, (i) => i.push(new PickleTuple(i.popToMark()))], // TUPLE
  [0x61, (i) => i.append([i.pop()])], // APPEND
  [0x65, (i) => i.append(i.popToMark())], // APPENDS
  [0x75, (i) => i.setItems(i.popToMark())], // SETITEMS
  [
    0x73, // SETITEM
    (i) => {
      const value = i.pop();
      i.setItems([i.pop(), value]);
    },
  ],
  [0x63, (i) => i.resolveGlobal(i.input.takeLine(), i.input.takeLine())], // GLOBAL
  [
    0x93, // STACK_GLOBAL
    (i) => {
      const name = i.pop();
      i.resolveGlobal(i.pop(), name);
    },
  ],
  [0x52, (i) => i.reduce()], // REDUCE
  [0x62, (i) => i.build()], // BUILD
  [0x51, (i) => i.push(i.environment.persistentLoad(i.pop()))], // BINPERSID
  [0x71, (i) => i.remember(i.input.takeByte())], // BINPUT
  [0x72, (i) => i.remember(uint32(i))], // LONG_BINPUT
  [0x94, (i) => i.remember(i.memo.size)], // MEMOIZE
  [0x68, (i) => i.recall(i.input.takeByte())], // BINGET
  [0x6a, (i) => i.recall(uint32(i))], // LONG_BINGET
]);
