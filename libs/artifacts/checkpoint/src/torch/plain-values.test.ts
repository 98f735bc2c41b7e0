import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import type { Json } from '../checkpoint.ts';
import { type PickleDict, PickleGlobal, PickleTuple, type PickleValue } from '../pickle/values.ts';
import { fromPlain, toPlain } from './plain-values.ts';

test('plain data goes there and back; tuples become lists', () => {
  const value: Json = { a: [1, 'x', null, { b: true }], __proto__x: 0.5, 中: [] };
  assert.deepEqual(toPlain(fromPlain(value, 'test'), 'test'), value);
  assert.deepEqual(toPlain(new PickleTuple([1, new PickleTuple([])]), 'test'), [1, []]);
});

test('a dict cannot set a prototype', () => {
  const dict: PickleDict = new Map([['__proto__', new Map([['polluted', true]])]]);
  const plain = toPlain(dict, 'test') as Record<string, Json>;
  assert.equal(Object.getPrototypeOf(plain), Object.prototype);
  assert.equal((plain as { polluted?: Json }).polluted, undefined);
});

test('values that unfold without end are refused', () => {
  const endless: PickleDict = new Map();
  endless.set('self', endless);
  assert.throws(() => toPlain(endless, 'extra'), /extra: has too many or too deeply nested/);
  let shared: PickleValue = [];
  for (let i = 0; i < 25; i++) shared = [shared, shared];
  assert.throws(() => toPlain(shared, 'extra'), /extra: has too many or too deeply nested/);
});

test('what is not plain data is refused with its place', () => {
  assert.throws(() => toPlain([new PickleGlobal('torch.Size')], 'extra'), DataLossError);
  assert.throws(() => toPlain(10n ** 20n, 'extra'), DataLossError);
  assert.throws(() => fromPlain({ a: [new Map() as never] }, 'extra'), /extra\.a\[0\]: /);
  let deep: Json = [];
  for (let i = 0; i < 40; i++) deep = [deep];
  assert.throws(() => fromPlain(deep, 'extra'), InvalidInputError);
  assert.throws(() => fromPlain(new Array<number>(600_000).fill(0), 'extra'), InvalidInputError);
  assert.throws(() => fromPlain('x'.repeat(5_000_000), 'extra'), InvalidInputError);
});
