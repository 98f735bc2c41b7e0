import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32 } from '@online-cnclip/foundation';
import { batchMetrics } from './validation.ts';

const pairs = [0, 1].map((row) => ({ image: row, text: row }));

test('loss and hits of a batch, by hand', () => {
  const images = float32([2, 2], Float32Array.of(1, 0, 0, 1));
  const texts = float32([2, 2], Float32Array.of(1, 0, 0, 1));
  const scale = 2;
  // Logits [[2, 0], [0, 2]]: each row's and column's cross entropy is log(e^2 + 1) - 2.
  const { loss, imageToTextHits, textToImageHits } = batchMetrics(images, texts, pairs, scale);
  assert.ok(Math.abs(loss - (Math.log(Math.exp(2) + 1) - 2)) < 1e-12);
  assert.deepEqual([imageToTextHits, textToImageHits], [2, 2]);
});

test('rows are images and columns are texts', () => {
  // Both images are nearest to text 0; each text is nearest to its own image.
  const images = float32([2, 2], Float32Array.of(1, 0, 0.8, 0.6));
  const texts = float32([2, 2], Float32Array.of(1, 0, 0.6, 0.8));
  const logits = [
    [1, 0.6],
    [0.8, 0.96],
  ];
  const entropy = (line: number[], target: number) =>
    Math.log(line.reduce((sum, logit) => sum + Math.exp(logit), 0)) - (line[target] as number);
  const columns = [0, 1].map((j) => logits.map((row) => row[j] as number));
  const expected =
    [0, 1].reduce(
      (sum, i) => sum + entropy(logits[i] as number[], i) + entropy(columns[i] as number[], i),
      0,
    ) / 4;
  const metrics = batchMetrics(images, texts, pairs, 1);
  assert.ok(Math.abs(metrics.loss - expected) < 1e-6);
  assert.deepEqual([metrics.imageToTextHits, metrics.textToImageHits], [2, 2]);
  const swapped = batchMetrics(images, float32([2, 2], Float32Array.of(1, 0, 0.9, -0.435)), pairs, 1);
  assert.deepEqual([swapped.imageToTextHits, swapped.textToImageHits], [1, 1]);
});

test('equal features count as the first of the batch, and large logits do not overflow', () => {
  const same = float32([1, 1], Float32Array.of(1));
  const repeated = [
    { image: 0, text: 0 },
    { image: 0, text: 0 },
  ];
  const { loss, imageToTextHits, textToImageHits } = batchMetrics(same, same, repeated, 1e4);
  assert.ok(Math.abs(loss - Math.LN2) < 1e-9);
  assert.deepEqual([imageToTextHits, textToImageHits], [1, 1]);
});
