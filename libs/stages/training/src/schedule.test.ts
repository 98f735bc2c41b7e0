import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { learningRateAt } from './schedule.ts';

interface GoldenCase {
  readonly step: number;
  readonly base_lr: number;
  readonly warmup: number;
  readonly total_steps: number;
  readonly decay_every: number;
  readonly lr: number;
}

const goldens = new URL('../../../../test/goldens/schedule/cases.json', import.meta.url);

test("learning rates are the research code's", () => {
  const cases: GoldenCase[] = JSON.parse(readFileSync(goldens, 'utf8'));
  assert.ok(cases.length > 0);
  for (const { step, base_lr, warmup, total_steps, decay_every, lr } of cases) {
    const schedule = {
      baseLearningRate: base_lr,
      warmupSteps: warmup,
      totalSteps: total_steps,
      decayEverySteps: decay_every,
    };
    const got = learningRateAt(schedule, step);
    assert.ok(
      Math.abs(got - lr) <= 1e-12 * Math.abs(lr),
      `step ${step} of ${total_steps}: ${got}, not ${lr}`,
    );
  }
});

test('without warm-up the first step has the full rate', () => {
  const schedule = { baseLearningRate: 0.1, warmupSteps: 0, totalSteps: 10, decayEverySteps: 20_000 };
  assert.equal(learningRateAt(schedule, 0), 0.1);
  assert.ok(learningRateAt(schedule, 9) > 0);
});
