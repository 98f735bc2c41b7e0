import type { Collectives, GroupOptions } from '@online-cnclip/collectives';

/** What a replica has when it joins the others. */
export interface ReplicaState {
  /** Steps that its parameters have behind them. */
  readonly step: number;
  /** Hash of its parameters. */
  readonly parameters: string;
  /** What has to be the same on every replica: names and values. */
  readonly fingerprint: Readonly<Record<string, string>>;
}

/** A complete group of replicas, until one is lost. */
export interface Gathering {
  /** Replica that has the newest state, and the steps of that. */
  readonly root: number;
  readonly step: number;
  /** Replicas that have to get it. */
  readonly behind: readonly number[];
  readonly host: string;
  readonly store: GroupOptions['store'];
  /** Aborted when a replica is lost. */
  readonly lost: AbortSignal;
  /** Resolves when every replica has finished. @throws AbortedError or UnavailableError when one is lost before. */
  finish(signal?: AbortSignal): Promise<void>;
}

/** Where the replicas of a run find each other, at the start and after a loss. */
export interface RendezvousPort {
  readonly rank: number;
  readonly worldSize: number;
  /** @returns absent when the run has ended already. */
  gather(state: ReplicaState, signal?: AbortSignal): Promise<Gathering | undefined>;
  /** Leaves: the others need not wait for a time-out. */
  close(): Promise<void>;
}

export interface ReplicaPorts {
  readonly rendezvous: RendezvousPort;
  /** Connects a gathered group; connectGroup of the collectives, but in tests. */
  readonly connect: (options: GroupOptions) => Promise<Collectives>;
  /** How long one collective waits for a replica that does not take part. */
  readonly timeoutMs: number;
}
