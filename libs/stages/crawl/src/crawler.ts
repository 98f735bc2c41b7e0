import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Logger } from '@online-cnclip/foundation';
import {
  type FailureReason,
  type ImageCache,
  openImageCache,
  type QueryState,
} from '@online-cnclip/image-cache';
import type { SiteBrowser } from './browser/site-browser.ts';
import type { DownloadFailure } from './downloads/download-error.ts';
import { Downloader } from './downloads/downloader.ts';
import type { FetchLimits } from './downloads/fetch-bytes.ts';
import { type ExemptAddress, type Manners, requireManners } from './manners/manners.ts';
import { TokenBucket } from './manners/token-bucket.ts';
import { Crawl } from './queries/crawl.ts';
import { PendingQueries } from './queries/pending-queries.ts';
import type { Sealer } from './sealing/sealer.ts';
import { lockFolder } from './sessions/folder-lock.ts';
import { LmdbSessionJournal, MemorySessionJournal } from './sessions/session-journal.ts';
import { Sessions } from './sessions/sessions.ts';

export interface CrawlerOptions {
  /** Holds cache/ and sessions/. */
  readonly dataFolder: string;
  /** The shop's home page. */
  readonly siteUrl: URL;
  readonly manners: Manners;
  /** The one address that may be private, and be asked at any rate. */
  readonly exempt?: ExemptAddress | undefined;
  /** Without one, sessions end with the process. */
  readonly sealer?: Sealer | undefined;
  /** A browser on that folder, which is empty. */
  openBrowser(userDataDir: string, signal: AbortSignal): Promise<SiteBrowser>;
  readonly maxSessions: number;
  readonly leaseMs: number;
  readonly sessionWaitMs: number;
  readonly maxDeferralMs: number;
  readonly retryMs: number;
  readonly maxCacheBytes?: number;
  readonly downloadLimits?: Partial<FetchLimits>;
  readonly onOutcome?: (state: QueryState, reason: FailureReason | undefined, ms: number) => void;
  readonly onDownload?: (result: DownloadFailure | 'ok' | 'duplicate') => void;
  readonly logger: Logger;
}

/** The crawl stage, put together. */
export interface Crawler {
  readonly sessions: Sessions;
  readonly crawl: Crawl;
  readonly cache: ImageCache;
  /** Browsers end, sessions and accepted queries are left for the next start. */
  close(): Promise<void>;
}

/**
 * @throws InvalidInputError when the manners are less than the site gets, FailedPreconditionError when another process
 *   has the data folder, DataLossError.
 */
export async function openCrawler(options: CrawlerOptions): Promise<Crawler> {
  const { dataFolder, siteUrl, exempt, logger, sealer } = options;
  const manners = requireManners(siteUrl, options.manners, exempt);
  const sessionsFolder = join(dataFolder, 'sessions');
  const browsersFolder = join(sessionsFolder, 'browsers');
  const unlock = await lockFolder(sessionsFolder);
  // What a browser wrote that was killed: cookies in it are not sealed.
  await rm(browsersFolder, { recursive: true, force: true });
  if (!sealer) logger.warn('no key file: sessions live in memory only and end with this process');
  const cache = openImageCache(join(dataFolder, 'cache'), {
    ...(options.maxCacheBytes !== undefined && { maxBytes: options.maxCacheBytes }),
  });
  const pending = new PendingQueries(join(sessionsFolder, 'queue'));
  const bucket = new TokenBucket({ intervalMs: manners.queryIntervalMs, jitterMs: manners.queryJitterMs });
  const sessions = new Sessions({
    ...options,
    ...manners,
    bucket,
    journal: sealer
      ? new LmdbSessionJournal(join(sessionsFolder, 'journal'), sealer)
      : new MemorySessionJournal(),
    openBrowser: (sessionId, signal) =>
      openOnEmptyFolder(join(browsersFolder, `${sessionId}-`), signal, options.openBrowser),
  });
  const downloader = new Downloader({
    siteHost: siteUrl.hostname,
    exempt,
    imageIntervalMs: manners.imageIntervalMs,
    ...(options.downloadLimits && { limits: options.downloadLimits }),
    ...(options.onDownload && { onDownload: options.onDownload }),
  });
  const crawl = new Crawl({ ...options, ...manners, cache, pending, sessions, downloader, bucket });
  crawl.resume();
  return {
    sessions,
    crawl,
    cache,
    async close() {
      await crawl.close();
      await sessions.close();
      await pending.close();
      await cache.close();
      await rm(browsersFolder, { recursive: true, force: true });
      await unlock();
    },
  };
}

/** Everything that a browser keeps is removed with it: what is needed of it is sealed in the journal. */
async function openOnEmptyFolder(
  prefix: string,
  signal: AbortSignal,
  open: CrawlerOptions['openBrowser'],
): Promise<SiteBrowser> {
  await mkdir(dirname(prefix), { recursive: true, mode: 0o700 });
  // Never that of the browser before, which may still be ending.
  const folder = await mkdtemp(prefix);
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  try {
    const browser = await open(folder, signal);
    void browser.closed.then(remove);
    return browser;
  } catch (error) {
    await remove();
    throw error;
  }
}
