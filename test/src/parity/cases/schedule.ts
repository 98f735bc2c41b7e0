import { learningRateAt } from '@online-cnclip/training';
import { type ParitySuite, readJson } from '../case.ts';

const TOLERANCE = 1e-12;

interface ScheduleCase {
  readonly step: number;
  readonly base_lr: number;
  readonly warmup: number;
  readonly total_steps: number;
  readonly decay_every: number;
  readonly lr: number;
}

export const schedule: ParitySuite = async function* ({ folder }) {
  const cases = readJson<ScheduleCase[]>(folder, 'schedule', 'cases.json');
  const errors = cases.map((golden) => {
    const ours = learningRateAt(
      {
        baseLearningRate: golden.base_lr,
        warmupSteps: golden.warmup,
        totalSteps: golden.total_steps,
        decayEverySteps: golden.decay_every,
      },
      golden.step,
    );
    return golden.lr === 0 ? Math.abs(ours) : Math.abs(ours - golden.lr) / golden.lr;
  });
  const name = `schedule: learning rate of ${cases.length} steps`;
  yield { name, error: Math.max(...errors), tolerance: TOLERANCE, unit: 'relative' };
};
