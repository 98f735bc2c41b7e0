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
export * from './site/site-profile.ts';
