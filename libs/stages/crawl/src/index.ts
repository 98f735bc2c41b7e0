export * from './browser/check-browser.ts';
export * from './browser/errors.ts';
export {
  type BrowserSource,
  type FindBrowserOptions,
  type FoundBrowser,
  findBrowser,
} from './browser/find-browser.ts';
export * from './browser/open-site-browser.ts';
export * from './browser/site-browser.ts';
export { type Crawler, type CrawlerOptions, openCrawler } from './crawler.ts';
export { DOWNLOAD_FAILURES, DownloadError, type DownloadFailure } from './downloads/download-error.ts';
export { DEFAULT_FETCH_LIMITS, type FetchLimits } from './downloads/fetch-bytes.ts';
export * from './manners/manners.ts';
export { answerStream } from './queries/answer-stream.ts';
export type { Crawl, CrawlAnswer, CrawlQuery } from './queries/crawl.ts';
export { loadSealer, Sealer } from './sealing/sealer.ts';
export * from './sessions/lease.ts';
export { MAX_LABEL_CHARACTERS, type Sessions, type SessionView } from './sessions/sessions.ts';
export { SESSION_STATES, type SessionState } from './sessions/states.ts';
export * from './site/site-profile.ts';
