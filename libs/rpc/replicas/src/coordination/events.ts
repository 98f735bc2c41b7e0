/** What a replica says of itself when it joins. */
export interface Joining {
  /** Replicas of different runs never meet. */
  readonly run: string;
  readonly rank: number;
  readonly worldSize: number;
  /** Made up by the process: tells a replica that comes back from another one with its rank. */
  readonly instance: string;
  /** Steps that its parameters have behind them. */
  readonly step: number;
  /** Hash of its parameters: the same on all replicas whose step is the same. */
  readonly parameters: string;
  /** What has to be the same on every replica, step or not. */
  readonly fingerprint: Readonly<Record<string, string>>;
  /** The process and its machine, for messages. */
  readonly host: string;
}

export interface GatheredEvent {
  readonly kind: 'gathered';
  /** Counts the groups of a run, from 1. */
  readonly generation: number;
  /** Replica that has the newest state. */
  readonly root: number;
  /** Steps of that state. */
  readonly step: number;
  /** Replicas that have to get it. */
  readonly behind: readonly number[];
}

export type GroupEvent =
  | { readonly kind: 'awaited'; readonly ranks: readonly number[] }
  | GatheredEvent
  | { readonly kind: 'dissolved'; readonly rank: number; readonly reason: string }
  | { readonly kind: 'finished' };
