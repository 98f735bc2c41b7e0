import type { ErrorAnswer } from '../src/wire.ts';

/** After a refusal, which EventSource does not try again by itself. */
const RETRY_MS = 5_000;

type Handlers<E> = { readonly [N in keyof E]?: (data: E[N]) => void };

export interface WatchOptions {
  /** Ends the watching. */
  readonly signal: AbortSignal;
  /** Whether events come; called at each change. */
  readonly onLive?: (live: boolean) => void;
  /** The server ended the stream with an error; it is asked again soon. */
  readonly onFailure?: (message: string) => void;
}

/**
 * Receives a stream of server-sent events until the signal aborts. A lost connection is made again; a tab that nobody sees lets its
 * connection go, because a browser allows six for all tabs together.
 */
export function watch<E extends object>(path: string, handlers: Handlers<E>, options: WatchOptions): void {
  const { signal, onLive, onFailure } = options;
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const close = (): void => {
    clearTimeout(retry);
    source?.close();
    source = undefined;
  };
  const retryLater = (): void => {
    close();
    retry = setTimeout(open, RETRY_MS);
  };
  function open(): void {
    close();
    if (signal.aborted || document.visibilityState === 'hidden') return;
    const opened = new EventSource(path);
    source = opened;
    opened.addEventListener('open', () => onLive?.(true));
    opened.addEventListener('error', () => {
      onLive?.(false);
      if (opened.readyState === EventSource.CLOSED) retryLater();
    });
    opened.addEventListener('failure', (event) => {
      const { error } = JSON.parse(event.data) as ErrorAnswer;
      onFailure?.(error.message);
      retryLater();
    });
    for (const name of Object.keys(handlers) as (keyof E & string)[])
      opened.addEventListener(name, (event) => handlers[name]?.(JSON.parse(event.data) as E[typeof name]));
  }

  document.addEventListener('visibilitychange', open, { signal });
  signal.addEventListener('abort', close);
  open();
}
