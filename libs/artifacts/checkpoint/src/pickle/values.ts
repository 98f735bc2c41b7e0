/** Python values as the interpreter builds them. Dictionaries are Maps, tuples are told apart from lists. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleValue[]
  | PickleDict
  | PickleObject;

export type PickleKey = null | boolean | number | bigint | string;
export type PickleDict = Map<PickleKey, PickleValue>;

export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** Base of what globals and persistent ids stand for (storages, tensors). */
export abstract class PickleObject {
  // Makes the class nominal: without a member every object would pass as one.
  readonly isPickleObject = true;
}

/** A global from the allow-list. Nothing is ever imported: calling one runs this project's own function. */
export class PickleGlobal extends PickleObject {
  readonly name: string;
  readonly call: ((args: readonly PickleValue[]) => PickleValue) | undefined;

  constructor(name: string, call?: (args: readonly PickleValue[]) => PickleValue) {
    super();
    this.name = name;
    this.call = call;
  }
}

/** A number that is written as a Python float although it is whole. */
export class PickleFloat extends PickleObject {
  readonly value: number;
  constructor(value: number) {
    super();
    this.value = value;
  }
}

/** The type of a value, for messages. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dict';
  if (value instanceof PickleTuple) return 'a tuple';
  if (value instanceof PickleGlobal) return value.name;
  return typeof value === 'object' ? value.constructor.name : typeof value;
}
