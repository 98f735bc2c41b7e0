import { InvalidInputError } from '@online-cnclip/foundation';
import type { Trial } from '../galleries.ts';
import type { OnlineReport, OnlineStage, TestReports } from '../report.ts';
import { adaptModel } from './adaptation.ts';
import { type JobContext, timed } from './context.ts';
import { crawlQueries } from './crawl.ts';
import { logIn } from './log-in.ts';
import { rankTrials } from './trials.ts';

/** Each is a browser, which takes a core while a page loads. */
const SESSIONS = 2;
/** Learning goes through them by epoch. */
const IMAGES_PER_QUERY = 5;

/** What learning online begins with. */
export interface OfflineState {
  /** Relative to the services' data folder. */
  readonly checkpoint: string;
  readonly trials: readonly Trial[];
  readonly offline: TestReports;
}

export interface OnlineResult extends OnlineReport {
  readonly seconds: Readonly<Record<OnlineStage, number>>;
}

/**
 * Logs in on the fixture shop, crawls the queries of the unseen concepts, adapts the model to what came of it, and ranks
 * both tests once more with the adapted model; with the one of before where the gate refuses it.
 */
export async function learnOnline(
  context: JobContext,
  { shop, batchSize }: { readonly shop: string; readonly batchSize: number },
  { checkpoint, trials, offline }: OfflineState,
): Promise<OnlineResult> {
  const queries = trials.find(({ test }) => test === 'unseen')?.queries;
  if (!queries) throw new InvalidInputError('there is no test of unseen concepts', { place: 'trials' });
  const [, logInSeconds] = await timed(() => logIn(context, shop, SESSIONS));
  const [crawl, crawlSeconds] = await timed(() => crawlQueries(context, queries, IMAGES_PER_QUERY));
  const input = { checkpoint, imagesPerQuery: IMAGES_PER_QUERY, batchSize };
  const [gate, adaptSeconds] = await timed(() => adaptModel(context, input));
  const served = gate.passed
    ? await rankTrials(context, trials)
    : { reports: offline, encodeSeconds: 0, rankSeconds: 0 };
  return {
    crawl: { ...crawl, seconds: crawlSeconds },
    gate,
    online: served.reports,
    seconds: {
      log_in: logInSeconds,
      crawl: crawlSeconds,
      adapt: adaptSeconds,
      encode_online: served.encodeSeconds,
      rank_online: served.rankSeconds,
    },
  };
}
