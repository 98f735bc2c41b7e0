import assert from 'node:assert/strict';
import test from 'node:test';
import { float32, type NamedArrays } from '@online-cnclip/foundation';
import { computeFingerprint } from './fingerprint.ts';

const weights = (value = 1): NamedArrays =>
  new Map([
    ['b', float32([2], Float32Array.of(value, 2))],
    ['a', float32([1, 2], Float32Array.of(3, 4))],
  ]);
const constants = { vocabulary: 'abc', precision: 'fp32' };

test('the same parts give the same fingerprint in any order', async () => {
  const one = await computeFingerprint({ parameters: weights(), constants });
  const reversed = new Map([...weights()].reverse());
  const other = { precision: 'fp32', vocabulary: 'abc' };
  assert.equal(await computeFingerprint({ parameters: reversed, constants: other }), one);
  assert.match(one, /^[0-9a-f]{64}$/);
});

test('a weight, a shape, a name or a constant that differs shows', async () => {
  const reshaped = new Map([...weights(), ['a', float32([2, 1], Float32Array.of(3, 4))] as const]);
  const renamed = new Map([...weights()].map(([name, array]) => [`${name}1`, array] as const));
  const variants = [
    { parameters: weights(), constants },
    { parameters: weights(1.0000001), constants },
    { parameters: reshaped, constants },
    { parameters: renamed, constants },
    { parameters: weights(), constants: { ...constants, precision: 'fp16' } },
  ];
  assert.equal(new Set(await Promise.all(variants.map(computeFingerprint))).size, variants.length);
});

test('every byte counts in a tensor of many chunks, and in a view into a larger buffer', async () => {
  const large = new Float32Array(5_000_000);
  const before = await computeFingerprint({
    parameters: new Map([['w', float32([large.length], large)]]),
    constants,
  });
  large[large.length - 1] = 1;
  const after = await computeFingerprint({
    parameters: new Map([['w', float32([large.length], large)]]),
    constants,
  });
  assert.notEqual(before, after);
  const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const [viewed, copied] = await Promise.all(
    [view, Float32Array.of(1, 2)].map((data) =>
      computeFingerprint({ parameters: new Map([['w', float32([2], data)]]), constants }),
    ),
  );
  assert.equal(viewed, copied);
});
