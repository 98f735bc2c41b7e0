import { setImmediate as nextTurn } from 'node:timers/promises';

/** Entries of a map that are made in a few milliseconds. */
const SLICE_LENGTH = 16_384;

/** Values in parts, with a turn of the event loop between them: a million at once would hold up every call for half a second. */
export async function* slices<T>(values: Iterable<T>): AsyncGenerator<readonly T[], void, void> {
  let slice: T[] = [];
  for (const value of values) {
    slice.push(value);
    if (slice.length < SLICE_LENGTH) continue;
    yield slice;
    slice = [];
    await nextTurn();
  }
  if (slice.length > 0) yield slice;
}
