export * from './browser/errors.ts';
export * from './browser/site-browser.ts';
