import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { type ClientOptions, createServiceClient, type ServiceClient } from '@online-cnclip/client';
import {
  type Gathered,
  type JoinResponse,
  ReplicaServiceService,
} from '@online-cnclip/contracts/replicas/v1';
import {
  abortError,
  DeadlineExceededError,
  messageOf,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';

type ReplicaClient = ServiceClient<typeof ReplicaServiceService>;

/** Between two attempts to reach a replica 0 that is not up yet. */
const RETRY_AFTER_MS = 250;
/** Setting an address is one small message; getting one waits for another replica. */
const GET_VALUE_TIMEOUT_MS = Number.POSITIVE_INFINITY;

export interface RendezvousOptions {
  /** `host:port` of replica 0's rendezvous. */
  readonly address: string;
  readonly run: string;
  readonly rank: number;
  readonly worldSize: number;
  /** How long to wait for all replicas, at the start and after a loss. */
  readonly timeoutMs: number;
  /** Plain text by default. */
  readonly credentials?: ClientOptions['credentials'];
  /** Told whenever it changes who is missing. */
  readonly onAwaited?: (ranks: readonly number[]) => void;
}

/** What this replica has when it joins. */
export interface ReplicaState {
  readonly step: number;
  readonly parameters: string;
  readonly fingerprint: Readonly<Record<string, string>>;
}

/** A complete group, until a replica is lost. */
export interface Gathering {
  readonly root: number;
  readonly step: number;
  readonly behind: readonly number[];
  /** Address of this machine under which the others reach it. */
  readonly host: string;
  readonly store: {
    set(key: string, value: Uint8Array): Promise<void>;
    get(key: string): Promise<Uint8Array>;
  };
  /** Aborted with an UnavailableError when a replica, or the rendezvous, is lost. */
  readonly lost: AbortSignal;
  /** Resolves when every replica has finished. @throws AbortedError or UnavailableError when one is lost before. */
  finish(signal?: AbortSignal): Promise<void>;
}

/** A replica's side of the rendezvous. */
export class Rendezvous {
  readonly rank: number;
  readonly worldSize: number;
  readonly #options: RendezvousOptions;
  readonly #instance = randomUUID();
  #attendance: Attendance | undefined;

  constructor(options: RendezvousOptions) {
    this.#options = options;
    this.rank = options.rank;
    this.worldSize = options.worldSize;
  }

  /**
   * Joins, or joins again, and waits until every replica is there.
   *
   * @returns absent when the run has ended already.
   * @throws DeadlineExceededError naming the missing replicas; FailedPreconditionError when replicas differ in what
   *   has to be the same; AlreadyExistsError when another process has this rank.
   */
  async gather(state: ReplicaState, signal?: AbortSignal): Promise<Gathering | undefined> {
    await this.close();
    const { timeoutMs, address } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
    let missing: readonly number[] = [0];
    const onAwaited = (ranks: readonly number[]) => {
      missing = ranks;
      this.#options.onAwaited?.(ranks);
    };
    while (true) {
      const attendance = new Attendance(this.#options, this.#instance, onAwaited);
      this.#attendance = attendance;
      try {
        return await attendance.begin(state, either);
      } catch (error) {
        await attendance.end();
        if (signal?.aborted) throw abortError(signal);
        if (deadline.aborted)
          throw new DeadlineExceededError(
            `replicas ${missing.join(', ')} did not come within ${timeoutMs / 1000} s; the rendezvous is ${address}`,
            { cause: error },
          );
        if (!(error instanceof UnavailableError)) throw error;
        await setTimeout(RETRY_AFTER_MS);
      }
    }
  }

  /** Leaves the group: the others regroup without waiting for a time-out. */
  async close(): Promise<void> {
    await this.#attendance?.end();
    this.#attendance = undefined;
  }
}

/** One stay in a group, on a connection of its own: a new one finds a replica 0 that came back at once. */
class Attendance {
  readonly #options: RendezvousOptions;
  readonly #instance: string;
  readonly #onAwaited: (ranks: readonly number[]) => void;
  readonly #client: ReplicaClient;
  readonly #left = new AbortController();
  readonly #lost = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(options: RendezvousOptions, instance: string, onAwaited: (ranks: readonly number[]) => void) {
    this.#options = options;
    this.#instance = instance;
    this.#onAwaited = onAwaited;
    this.#client = createServiceClient(ReplicaServiceService, options.address, {
      methodTimeoutsMs: { getValue: GET_VALUE_TIMEOUT_MS, finish: GET_VALUE_TIMEOUT_MS },
      credentials: options.credentials,
    });
  }

  async begin(state: ReplicaState, signal: AbortSignal): Promise<Gathering | undefined> {
    throwIfAborted(signal);
    const { address, run, rank, worldSize } = this.#options;
    const host = await localAddressTowards(address, signal);
    const onAbort = () => this.#left.abort(signal.reason);
    signal.addEventListener('abort', onAbort);
    const events = this.#client.join(
      {
        run,
        rank,
        worldSize,
        instance: this.#instance,
        step: BigInt(state.step),
        parameters: state.parameters,
        fingerprint: { ...state.fingerprint },
        host: `process ${process.pid} on ${hostname()}`,
      },
      { signal: this.#left.signal },
    );
    try {
      const gathered = await this.#untilGathered(events);
      if (!gathered) return undefined;
      this.#watching = this.#watch(events);
      return this.#gathering(gathered, host);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async end(): Promise<void> {
    this.#left.abort();
    await this.#watching;
    this.#client.close();
  }

  async #untilGathered(events: AsyncGenerator<JoinResponse, void, void>): Promise<Gathered | undefined> {
    while (true) {
      const { done, value } = await events.next();
      if (done) throw new UnavailableError('the rendezvous ended the stream');
      if (value.event?.$case === 'gathered') return value.event.value;
      if (value.event?.$case === 'finished') return undefined;
      if (value.event?.$case === 'awaited') this.#onAwaited(value.event.value.ranks);
    }
  }

  /** Reads on until the group is dissolved or the stream breaks. */
  async #watch(events: AsyncGenerator<JoinResponse, void, void>): Promise<void> {
    try {
      for await (const { event } of events)
        if (event?.$case === 'dissolved') {
          const { rank, reason } = event.value;
          this.#lost.abort(new UnavailableError(`replica ${rank} is lost: ${reason}`));
        }
      this.#lost.abort(new UnavailableError('the rendezvous ended the group'));
    } catch (cause) {
      this.#lost.abort(
        new UnavailableError(`replica 0's rendezvous is lost: ${messageOf(cause)}`, { cause }),
      );
    }
  }

  #gathering({ generation, root, step, behind }: Gathered, host: string): Gathering {
    const { run, rank } = this.#options;
    const client = this.#client;
    const lost = this.#lost.signal;
    return {
      root,
      step: Number(step),
      behind,
      host,
      lost,
      store: {
        async set(key, value) {
          await client.setValue({ run, generation, key, value: Buffer.from(value) }, { signal: lost });
        },
        async get(key) {
          return (await client.getValue({ run, generation, key }, { signal: lost })).value;
        },
      },
      async finish(signal) {
        const either = signal ? AbortSignal.any([signal, lost]) : lost;
        await client.finish({ run, generation, rank }, { signal: either });
      },
    };
  }
}

/** The address that this machine has on the network where another one is. */
async function localAddressTowards(address: string, signal: AbortSignal): Promise<string> {
  const { hostname: host, port } = new URL(`tcp://${address}`);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port), signal });
  socket.once('connect', () => resolve(socket.localAddress ?? host));
  socket.once('error', reject);
  try {
    return await promise;
  } catch (cause) {
    throw new UnavailableError(`no connection: ${messageOf(cause)}`, { place: address, cause });
  } finally {
    socket.destroy();
  }
}
