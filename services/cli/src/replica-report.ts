import type { ReplicaPace } from '@online-cnclip/contracts/trainer/v1';

/** A replica that is busy for this many times as long as the median one holds up the others; less is chance. */
const STRAGGLER_RATIO = 1.2;

/** Each replica's pairs per second, by rank; empty where there is one replica. */
export const replicaRates = (replicas: readonly ReplicaPace[]): string =>
  replicas.length < 2
    ? ''
    : `replicas ${replicas.map(({ pairsPerSecond }) => pairsPerSecond.toFixed(1)).join(' + ')}`;

/** Tells of replicas that hold up the others, when they begin to and when it is others that do. */
export class StragglerReport {
  #told = '';

  /** @returns a line, or nothing where there is nothing new. */
  of(replicas: readonly ReplicaPace[]): string | undefined {
    const usual = median(replicas.map(({ busySeconds }) => busySeconds));
    const stragglers = replicas.filter(({ busySeconds }) => busySeconds > STRAGGLER_RATIO * usual);
    const ranks = stragglers.map(({ rank }) => rank).join();
    if (ranks === this.#told) return undefined;
    this.#told = ranks;
    const each = stragglers.map(
      ({ rank, busySeconds, dataSeconds }) =>
        `replica ${rank} (busy ${busySeconds.toFixed(2)} s a step, ${dataSeconds.toFixed(2)} s of it for data)`,
    );
    return each.length === 0
      ? 'no replica holds up the others any more'
      : `the others, busy ${usual.toFixed(2)} s a step, wait for ${each.join(' and ')}`;
  }
}

/** Of two the smaller: the other one is then the straggler. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
