import type { ErrorAnswer } from '../src/wire.ts';
import { type MessageKey, message } from './language.ts';

/** Tells the server that the page itself asks; another site's page cannot set it. */
const PAGE_HEADER = 'x-online-cnclip';
const UNAUTHORIZED = 401;
const LOG_IN_PATH = '/api/log-in';

/** What the server said no with. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly kind: string;

  constructor({ error }: ErrorAnswer) {
    super(error.message);
    this.kind = error.kind;
  }
}

/** @throws ApiError, or the fetch's own error when the console cannot be reached or the signal aborts. */
export const get = <T>(path: string, signal: AbortSignal): Promise<T> => ask<T>(path, { signal });

export const post = <T>(path: string, body: unknown, signal: AbortSignal): Promise<T> =>
  ask<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });

export const postImage = <T>(path: string, image: Blob, signal: AbortSignal): Promise<T> =>
  ask<T>(path, { method: 'POST', headers: { 'content-type': image.type }, body: image, signal });

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const response = await fetch(path, { ...init, headers: { ...init.headers, [PAGE_HEADER]: '1' } });
  const answer: unknown = await response.json();
  // The session has ended, or the token was changed.
  if (response.status === UNAUTHORIZED && path !== LOG_IN_PATH) location.assign('/log-in.html');
  if (!response.ok) throw new ApiError(answer as ErrorAnswer);
  return answer as T;
}

const KINDS: Readonly<Record<string, MessageKey>> = {
  unavailable: 'errorUnavailable',
  'deadline-exceeded': 'errorDeadline',
  'not-found': 'errorNotFound',
  'invalid-input': 'errorInvalid',
  'failed-precondition': 'errorPrecondition',
  'resource-exhausted': 'errorExhausted',
};

/** An error as a sentence: what it means in the reader's language, then what the service said. */
export function errorText(error: unknown): string {
  if (error instanceof ApiError) return `${message(KINDS[error.kind] ?? 'errorOther')}: ${error.message}`;
  if (error instanceof TypeError) return message('errorConsoleGone');
  return error instanceof Error ? error.message : String(error);
}

/** Whether it is only that the view was left. */
export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError';
