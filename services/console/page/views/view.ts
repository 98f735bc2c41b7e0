import type { Child } from '../dom.ts';

export interface ViewContext {
  /** What the address says after the view's name. */
  readonly rest: string;
  /** Aborted when the view is left: ends its requests, streams and timers. */
  readonly signal: AbortSignal;
}

/** Builds what is shown below the title. */
export type View = (context: ViewContext) => readonly Child[];

/** Runs something now and then until the view is left; not while nobody sees the tab. */
export function repeat(intervalMs: number, signal: AbortSignal, work: () => void): void {
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') work();
  }, intervalMs);
  signal.addEventListener('abort', () => clearInterval(timer));
  work();
}
