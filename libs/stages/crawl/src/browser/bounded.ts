import { type ApplicationError, abortError } from '@online-cnclip/foundation';

export interface Bounds {
  readonly timeoutMs: number;
  /** The error of work that takes longer. */
  late(): ApplicationError;
  /** Whose reasons, typed, end the waiting. They may live as long as a browser: nothing of the work stays with them. */
  readonly signals: readonly AbortSignal[];
}

/** Waits for work that may never end: for its own result, or for the error of whichever bound is met first. */
export async function bounded<T>(work: Promise<T>, { timeoutMs, late, signals }: Bounds): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const stops = signals.map((signal) => ({ signal, stop: () => reject(abortError(signal)) }));
  const timer = setTimeout(() => reject(late()), timeoutMs);
  for (const { signal, stop } of stops) {
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  }
  work.then(resolve, reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    for (const { signal, stop } of stops) signal.removeEventListener('abort', stop);
  }
}
