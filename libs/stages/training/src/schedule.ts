/** Steps after which the research code divides the learning rate by ten once more. */
export const DECAY_EVERY_STEPS = 20_000;

export interface Schedule {
  readonly baseLearningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  readonly decayEverySteps: number;
}

/**
 * The learning rate of a step (counted from 0): a linear rise over the warm-up, then half a cosine to zero at
 * `totalSteps`, divided by ten for every `decayEverySteps` passed.
 */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { baseLearningRate, warmupSteps, totalSteps, decayEverySteps } = schedule;
  if (step < warmupSteps) return (baseLearningRate * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps) / (totalSteps - warmupSteps);
  const cosine = 0.5 * (1 + Math.cos(Math.PI * progress)) * baseLearningRate;
  return cosine / 10 ** Math.floor(step / decayEverySteps);
}
