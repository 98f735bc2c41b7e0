import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LossScale } from './loss-scale.ts';

test('the scale doubles after 2000 good steps in a row and halves at each overflow', () => {
  const scale = new LossScale();
  for (let step = 0; step < 1999; step++) scale.update(false);
  assert.deepEqual(scale.state, { scale: 65_536, goodSteps: 1999, skippedSteps: 0 });
  scale.update(false);
  assert.deepEqual(scale.state, { scale: 131_072, goodSteps: 0, skippedSteps: 0 });
  scale.update(false);
  scale.update(true);
  scale.update(true);
  assert.deepEqual(scale.state, { scale: 32_768, goodSteps: 0, skippedSteps: 2 });
});

test('it goes on from a saved state', () => {
  const scale = new LossScale({ scale: 8, goodSteps: 1999, skippedSteps: 3 });
  scale.update(false);
  assert.deepEqual(scale.state, { scale: 16, goodSteps: 0, skippedSteps: 3 });
});
