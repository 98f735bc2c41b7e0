import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { randomVectors } from '../testing.ts';
import { dotProducts, rowsPerBlock, strideOf } from './dot-products.ts';
import { KERNEL_SOURCE_SHA256 } from './kernel-binary.ts';
import { normalize } from './normalize.ts';
import { TopK } from './top-k.ts';

test('the kernel is the one of its source', () => {
  const source = readFileSync(new URL('./dot-products.wat', import.meta.url));
  assert.equal(createHash('sha256').update(source).digest('hex'), KERNEL_SOURCE_SHA256);
});

test('dot products of whole and broken groups of rows', () => {
  for (const rowCount of [1, 2, 4, 5, 11]) {
    const stride = strideOf(10);
    assert.equal(stride, 12);
    const [rows, queries] = [pack(rowCount, 10, stride, 1), pack(3, 10, stride, 2)];
    const { scores, stride: scoreStride } = dotProducts(rows, queries, stride);
    for (let q = 0; q < 3; q++)
      for (let r = 0; r < rowCount; r++) {
        let expected = 0;
        for (let k = 0; k < stride; k++)
          expected += (rows[r * stride + k] as number) * (queries[q * stride + k] as number);
        assert.ok(Math.abs((scores[q * scoreStride + r] as number) - expected) < 1e-5);
      }
  }
  assert.throws(() => dotProducts(new Float32Array((rowsPerBlock(8) + 1) * 8), new Float32Array(8), 8));
});

test('the same row and query give the same bits wherever they stand', () => {
  const stride = 64;
  const query = pack(1, 64, stride, 5);
  const row = pack(1, 64, stride, 6);
  const alone = dotProducts(row, query, stride).scores[0];
  const rows = pack(7, 64, stride, 7);
  rows.set(row, 6 * stride);
  const queries = pack(3, 64, stride, 8);
  queries.set(query, 2 * stride);
  const { scores, stride: scoreStride } = dotProducts(rows, queries, stride);
  assert.equal(scores[2 * scoreStride + 6], alone);
});

test('the best of a stream are those of a stable sort', () => {
  const scores = Float32Array.from(randomVectors(1, 5_000, 9)[0] as Float32Array, (x) => Math.round(x * 20));
  for (const k of [1, 2, 10, 777, 6_000]) {
    const top = new TopK(k);
    top.offer(scores, 0, 2_000, 0, (row) => row % 7 !== 0);
    top.offer(scores, 2_000, 3_000, 2_000, (row) => row % 7 !== 0);
    const expected = [...scores.keys()]
      .filter((row) => row % 7 !== 0)
      .sort((a, b) => (scores[b] as number) - (scores[a] as number))
      .slice(0, k);
    const best = top.take();
    assert.deepEqual(best.rows, expected);
    assert.deepEqual(
      [...best.scores],
      expected.map((row) => scores[row]),
    );
  }
});

test('normalising twice changes no bit', () => {
  for (const vector of randomVectors(200, 511, 10)) {
    const once = normalize(vector, 'v');
    assert.ok(Math.abs(once.reduce((sum, x) => sum + x * x, 0) - 1) < 3e-7);
    assert.deepEqual(normalize(once, 'v'), once);
  }
  assert.deepEqual(
    normalize(Float32Array.of(3e38, -3e38), 'v'),
    Float32Array.of(Math.SQRT1_2, -Math.SQRT1_2),
  );
});

function pack(count: number, dimension: number, stride: number, seed: number): Float32Array {
  const packed = new Float32Array(count * stride);
  for (const [i, vector] of randomVectors(count, dimension, seed).entries()) packed.set(vector, i * stride);
  return packed;
}
