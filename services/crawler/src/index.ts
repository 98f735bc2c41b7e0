export { type CrawlerConfig, composeCrawler } from './compose.ts';
export { createHandlers, type HandlerOptions } from './handlers.ts';
export { crawlerSettings } from './settings.ts';
