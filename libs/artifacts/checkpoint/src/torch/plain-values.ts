import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import type { Json } from '../checkpoint.ts';
import { describe, PickleTuple, type PickleValue } from '../pickle/values.ts';

// Values can be shared within a pickle, so a small file may unfold to a huge or endless tree.
const MAX_DEPTH = 32;
// Half of what the interpreter lets a pickle do, so that what is written can be read.
const MAX_NODES = 500_000;
const MAX_TEXT_LENGTH = 1 << 22;

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

/** The reverse. @throws InvalidInputError naming the entry that is not plain data, or more than can be read back. */
export function fromPlain(value: Json, place: string): PickleValue {
  let nodes = 0;
  const convert = (item: Json, at: string, depth: number): PickleValue => {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH)
      throw new InvalidInputError('has too many or too deeply nested values', { place: at });
    if (typeof item === 'string' && item.length > MAX_TEXT_LENGTH)
      throw new InvalidInputError(`has a text of ${item.length} characters`, { place: at });
    if (item === null || ['boolean', 'number', 'string'].includes(typeof item)) return item as PickleValue;
    if (Array.isArray(item)) return item.map((element, i) => convert(element, `${at}[${i}]`, depth + 1));
    if (typeof item === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(item)))
      return new Map(
        Object.entries(item)
          .filter(([, element]) => element !== undefined)
          .map(([key, element]) => [key, convert(element, `${at}.${key}`, depth + 1)]),
      );
    throw new InvalidInputError(`${String(item)} is not plain data`, { place: at });
  };
  return convert(value, place, 0);
}
