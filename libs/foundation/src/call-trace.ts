/** A piece of work as a trace shows it. */
export interface TracedWork {
  /** What was done, the same for every call: `batch wait`. */
  readonly name: string;
  /** As `performance.now()` tells it. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
}

/** Notes work in the trace of the call that it was done for. */
export type NoteWork = (work: TracedWork) => void;

/**
 * Asked while a call is being handled: where to note work that is done for it later, maybe together with that of others.
 * Undefined where the call is not traced. The port by which stages tell of their work without knowing who traces.
 */
export type TraceOfCall = () => NoteWork | undefined;
