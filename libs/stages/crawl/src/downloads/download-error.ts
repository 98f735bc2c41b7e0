import { UnavailableError } from '@online-cnclip/foundation';

/** Why an image was not fetched, and whether another try may help. */
export const DOWNLOAD_FAILURES = {
  'refused-url': false,
  'private-address': false,
  dns: true,
  connection: true,
  timeout: true,
  'too-slow': true,
  'too-large': false,
  'too-many-redirects': false,
  'rate-limited': true,
  status: false,
  'server-error': true,
  html: true,
  'not-an-image': false,
  'too-many-pixels': false,
  damaged: true,
} as const;
export type DownloadFailure = keyof typeof DOWNLOAD_FAILURES;

export class DownloadError extends UnavailableError {
  readonly failure: DownloadFailure;
  /** The hop that failed. */
  readonly url: string;
  /** What the host asked for, in milliseconds; with `rate-limited` only. */
  readonly retryAfterMs: number | undefined;

  constructor(
    failure: DownloadFailure,
    message: string,
    url: URL | string,
    { cause, retryAfterMs }: { cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(`${failure}: ${message}`, { place: String(url).slice(0, MAX_SHOWN_URL), cause });
    this.failure = failure;
    this.url = String(url);
    this.retryAfterMs = retryAfterMs;
  }

  get retryable(): boolean {
    return DOWNLOAD_FAILURES[this.failure];
  }
}

/** Of a URL, as much as an error's text repeats. */
const MAX_SHOWN_URL = 200;
