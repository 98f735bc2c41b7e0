import { type Collectives, LostReplicaError } from '@online-cnclip/collectives';
import {
  AbortedError,
  abortError,
  CancelledError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
  messageOf,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { Gathering, ReplicaPorts, ReplicaState } from './ports.ts';

/** What replicas have agreed on when they go on together. */
export interface Agreement {
  /** Replica whose state is everyone's, and the steps of it. */
  readonly root: number;
  readonly step: number;
  readonly behind: readonly number[];
}

/**
 * The collectives of a run, over all the groups that it has: between the loss of a replica and the next regrouping every
 * collective rejects with a LostReplicaError. Whoever holds it need not know that groups come and go.
 */
export class ReplicaGroup implements Collectives {
  readonly rank: number;
  readonly worldSize: number;
  readonly #ports: ReplicaPorts;
  #gathering: Gathering | undefined;
  #collectives: Collectives | undefined;
  #lost = new LostReplicaError(undefined, 'the replicas have not gathered');
  #waitedMs = 0;

  constructor(ports: ReplicaPorts) {
    this.#ports = ports;
    this.rank = ports.rendezvous.rank;
    this.worldSize = ports.rendezvous.worldSize;
  }

  /** Milliseconds spent in collectives so far: what is left of a step's time is this replica's own. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /**
   * Leaves the group that there was and waits until every replica is in a new one.
   *
   * @returns absent when the run has ended already, on every replica.
   * @throws as the rendezvous does; CancelledError when the signal aborts.
   */
  async regroup(state: ReplicaState, signal: AbortSignal | undefined): Promise<Agreement | undefined> {
    await this.#leave();
    while (true) {
      const gathering = await this.#ports.rendezvous.gather(state, signal);
      if (!gathering) return undefined;
      try {
        await this.#connect(gathering);
        return gathering;
      } catch (error) {
        if (signal?.aborted) throw abortError(signal);
        // Another one was lost on the way: gather again.
        if (!isLoss(error) || error instanceof FailedPreconditionError) throw error;
      }
    }
  }

  /** Resolves when every replica has come to the end. @throws LostReplicaError when one is lost before. */
  async finish(signal?: AbortSignal): Promise<void> {
    await this.#guarded(async () => {
      if (!this.#gathering) throw this.#lost;
      await this.#gathering.finish(signal);
    });
  }

  allReduceSum(buffer: Float32Array): Promise<void> {
    return this.#collective((group) => group.allReduceSum(buffer));
  }

  allGather(input: Float32Array, output: Float32Array): Promise<void> {
    return this.#collective((group) => group.allGather(input, output));
  }

  broadcast(array: Float32Array | Uint8Array, root: number): Promise<void> {
    return this.#collective((group) => group.broadcast(array, root));
  }

  barrier(): Promise<void> {
    return this.#collective((group) => group.barrier());
  }

  async close(): Promise<void> {
    await this.#leave();
    await this.#ports.rendezvous.close();
  }

  async #leave(): Promise<void> {
    const collectives = this.#collectives;
    this.#collectives = undefined;
    this.#gathering = undefined;
    await collectives?.close();
  }

  async #connect(gathering: Gathering): Promise<void> {
    const { connect, timeoutMs } = this.#ports;
    const { rank, worldSize } = this;
    const { host, store, lost } = gathering;
    this.#collectives = await connect({ rank, worldSize, host, store, timeoutMs, signal: lost });
    this.#gathering = gathering;
  }

  async #collective(call: (group: Collectives) => Promise<void>): Promise<void> {
    const group = this.#collectives;
    if (!group) throw this.#lost;
    const startedAt = performance.now();
    await this.#guarded(() => call(group));
    this.#waitedMs += performance.now() - startedAt;
  }

  /** Every way in which a group breaks is the loss of a replica to who holds it. */
  async #guarded(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (error instanceof LostReplicaError || !isLoss(error)) throw error;
      throw new LostReplicaError(undefined, messageOf(error), error);
    }
  }
}

/** Errors of a group that is broken, as opposed to those of its use. */
function isLoss(error: unknown): boolean {
  if (error instanceof InvalidInputError || error instanceof CancelledError) return false;
  return (
    error instanceof UnavailableError ||
    error instanceof AbortedError ||
    error instanceof DeadlineExceededError ||
    error instanceof FailedPreconditionError
  );
}
