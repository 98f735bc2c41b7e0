import type { ImageSourceMode } from './image-source.ts';
import type { OnlineBatch } from './online-batches.ts';
import type { OnlineCounts, OnlineSummary } from './online-events.ts';
import type { OnlineScope } from './online-options.ts';

export const countsOf = ({ texts, pairs, cached, replayed, leftOut }: OnlineBatch): OnlineCounts => ({
  queries: texts.length,
  pairs,
  cached,
  replayed,
  leftOut: Object.fromEntries(leftOut),
});

/** Sums over the steps of online learning. */
export class OnlineTotals {
  #counts = { queries: 0, pairs: 0, cached: 0, replayed: 0 };
  readonly #leftOut = new Map<string, number>();
  #steps = 0;
  #seconds = 0;
  #waitSeconds = 0;

  add(batch: OnlineBatch, waitSeconds: number, stepSeconds: number): void {
    const { queries, pairs, cached, replayed } = this.#counts;
    this.#counts = {
      queries: queries + batch.texts.length,
      pairs: pairs + batch.pairs,
      cached: cached + batch.cached,
      replayed: replayed + batch.replayed,
    };
    for (const [reason, count] of batch.leftOut)
      this.#leftOut.set(reason, (this.#leftOut.get(reason) ?? 0) + count);
    if (batch.step) this.#steps++;
    this.#seconds += stepSeconds;
    this.#waitSeconds += waitSeconds;
  }

  summary(scope: OnlineScope, source: ImageSourceMode): OnlineSummary {
    return {
      scope,
      transductive: scope === 'all',
      source,
      steps: this.#steps,
      ...this.#counts,
      leftOut: Object.fromEntries([...this.#leftOut].sort(([a], [b]) => (a < b ? -1 : 1))),
      seconds: this.#seconds,
      waitSeconds: this.#waitSeconds,
    };
  }
}

/** `5 no-results, 2 deferred`; empty where none was left out. */
export const leftOutText = ({ leftOut }: OnlineCounts): string =>
  Object.entries(leftOut)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');

/** What the online steps of a validation did, for the log. */
export function onlineLines(online: OnlineSummary): string[] {
  const missing = leftOutText(online);
  const kind = online.transductive ? 'transductive' : 'other queries only';
  return [
    [
      `Online Learning (scope ${online.scope}: ${kind}; images: ${online.source})`,
      `Steps: ${online.steps}`,
      `Pairs: ${online.pairs}/${online.queries}`,
      `Replayed: ${online.replayed}`,
      `Left Out: ${missing === '' ? 'none' : missing}`,
      `Wait Time: ${online.waitSeconds.toFixed(3)}s`,
    ].join(' | '),
  ];
}
