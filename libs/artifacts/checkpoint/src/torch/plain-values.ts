import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import type { Json } from '../checkpoint.ts';
import { describe, type PickleDict, PickleTuple, type PickleValue } from '../pickle/values.ts';

// Values can be shared within a pickle, so a small file may unfold to a huge or endless tree.
const MAX_DEPTH = 32;
const MAX_NODES = 1_000_000;

/** A pickled value as plain data. @throws DataLossError when it holds anything else, or too much. */
export function toPlain(value: PickleValue, place: string): Json {
  let nodes = 0;
  const convert = (item: PickleValue, depth: number): Json => {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH)
      throw new DataLossError('has too many or too deeply nested values', { place });
    if (item === null || typeof item === 'boolean' || typeof item === 'number' || typeof item === 'string')
      return item;
    const items = item instanceof PickleTuple ? item.items : item;
    if (Array.isArray(items)) return items.map((element: PickleValue) => convert(element, depth + 1));
    if (items instanceof Map)
      return Object.fromEntries(
        [...items].map(([key, element]) => [String(key), convert(element, depth + 1)]),
      );
    throw new DataLossError(`holds ${describe(item)}, which is not plain data`, { place });
  };
  return convert(value, 0);
}

/** The reverse. @throws InvalidInputError naming the entry that is not plain data. */
export function fromPlain(value: Json, place: string, depth = 0): PickleValue {
  if (depth > MAX_DEPTH) throw new InvalidInputError('is too deeply nested', { place });
  if (value === null || ['boolean', 'number', 'string'].includes(typeof value)) return value as PickleValue;
  if (Array.isArray(value)) return value.map((item, i) => fromPlain(item, `${place}[${i}]`, depth + 1));
  if (typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    const dict: PickleDict = new Map();
    for (const [key, item] of Object.entries(value))
      if (item !== undefined) dict.set(key, fromPlain(item, `${place}.${key}`, depth + 1));
    return dict;
  }
  throw new InvalidInputError(`${String(value)} is not plain data`, { place });
}
