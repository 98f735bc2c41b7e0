import type { Progress } from '../progress.ts';
import type { ServiceClients } from '../services.ts';

/** What every part of the main job works with. */
export interface JobContext {
  readonly clients: ServiceClients;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Wall time in seconds of some work, with its result. */
export async function timed<T>(work: () => Promise<T>): Promise<[result: T, seconds: number]> {
  const startedAt = performance.now();
  const result = await work();
  return [result, Math.round(performance.now() - startedAt) / 1000];
}
