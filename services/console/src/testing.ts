// For tests of other packages that look at the page.
export * from './testing/browser.ts';
export * from './testing/page-checks.ts';
