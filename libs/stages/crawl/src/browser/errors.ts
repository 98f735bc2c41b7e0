import { DeadlineExceededError, FailedPreconditionError, UnavailableError } from '@online-cnclip/foundation';

/** The site's page did not load in time: try again later, with the same session. */
export class NavigationTimeoutError extends DeadlineExceededError {
  readonly url: string;
  readonly timeoutMs: number;

  constructor(url: string, timeoutMs: number, cause?: unknown) {
    super(`not loaded after ${timeoutMs} ms`, { place: url, cause });
    this.url = url;
    this.timeoutMs = timeoutMs;
  }
}

/** The page could not be reached at all: no such host, connection refused or reset. */
export class NavigationFailedError extends UnavailableError {
  readonly url: string;

  constructor(url: string, reason: string, cause?: unknown) {
    super(reason, { place: url, cause });
    this.url = url;
  }
}

/** The page's process crashed; the browser lives, and the next call opens a new page. */
export class PageCrashedError extends UnavailableError {
  constructor(url: string, cause?: unknown) {
    super('the page crashed', { place: url, cause });
  }
}

/** The browser is gone: open a new one on the same userDataDir. */
export class BrowserDiedError extends UnavailableError {
  /** `SIGKILL`, `status 133`. */
  readonly how: string;

  constructor(how: string, cause?: unknown) {
    super(`the browser ended (${how})`, { place: 'browser', cause });
    this.how = how;
  }
}

/** The executable was found but does not start. */
export class BrowserStartError extends UnavailableError {}

/** There is no browser on this machine; the text says what to install. */
export class BrowserNotFoundError extends FailedPreconditionError {}

/** Nobody confirmed any of the QR codes. */
export class LogInExpiredError extends DeadlineExceededError {
  /** QR codes that were shown. */
  readonly attempts: number;

  constructor(attempts: number, url: string) {
    super(`nobody scanned and confirmed any of ${attempts} QR codes`, { place: url });
    this.attempts = attempts;
  }
}

/** The site wants a person to prove to be one. The program does nothing on such a page. */
export class ChallengeError extends FailedPreconditionError {
  readonly screenshotPng: Uint8Array;

  constructor(url: string, screenshotPng: Uint8Array) {
    super('the site asks for a person', { place: url });
    this.screenshotPng = screenshotPng;
  }
}

/** The page is not as the site profile says. */
export class ProfileMismatchError extends FailedPreconditionError {
  /** `selectors.searchBox`. */
  readonly setting: string;
  readonly selector: string;
  readonly url: string;

  constructor(setting: string, selector: string, url: string) {
    super(`finds nothing on ${url}: ${JSON.stringify(selector)}`, { place: setting });
    this.setting = setting;
    this.selector = selector;
    this.url = url;
  }
}
