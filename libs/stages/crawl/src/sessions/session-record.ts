import type { SessionState } from './states.ts';

/** What is journalled of a session; nothing secret. */
export interface SessionRecord {
  readonly sessionId: bigint;
  /** Given by the operator. */
  readonly label: string;
  readonly state: SessionState;
  /** Why it is in that state, for a person. */
  readonly reason: string;
  /** When a session that is cooling may be used again, in milliseconds since 1970. */
  readonly resumeAt: number | undefined;
  /** `2026-11-24`, UTC: the day that `queriesToday` counts. */
  readonly day: string;
  readonly queriesToday: number;
  /** Grows with each lease, and when one is taken away: whoever holds a smaller one is late. */
  readonly fencingToken: number;
  readonly openedAt: number;
  readonly changedAt: number;
  /** Grows with each change: what compare-and-set compares. */
  readonly version: number;
}

/** One line of the journal. */
export interface Transition {
  readonly from: SessionState | undefined;
  readonly to: SessionState;
  readonly reason: string;
  readonly at: number;
}

export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);
