import { lookup } from 'node:dns/promises';
import {
  type ApplicationError,
  abortError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
  messageOf,
  throwIfAborted,
} from '@online-cnclip/foundation';
import {
  type Collectives,
  checkBroadcast,
  checkFloats,
  checkGather,
  checkRank,
  LostReplicaError,
} from '../collectives.ts';
import { singleReplica } from '../single-replica.ts';
import { type AddonError, type AddonGroup, loadAddon, type RendezvousStore } from './addon.ts';

export interface GroupOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** Name or address of this machine under which the other replicas reach it. */
  readonly host: string;
  readonly store: RendezvousStore;
  /** How long connecting may take, and how long one collective waits for a replica that does not take part. */
  readonly timeoutMs: number;
  /** Closes the group: what waits is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects this replica with the others of its group, over Gloo and TCP. Plain text: for a trusted network only.
 *
 * @throws FailedPreconditionError where libgloo is not installed; InvalidInputError for a rank or host that is none;
 *   DeadlineExceededError when not every replica came in time; LostReplicaError when one was lost on the way.
 */
export async function connectGroup(options: GroupOptions): Promise<Collectives> {
  const { rank, worldSize, timeoutMs, signal } = options;
  checkRank(rank, worldSize, 'rank');
  throwIfAborted(signal);
  if (worldSize === 1) return singleReplica();
  if (!(timeoutMs >= 1))
    throw new InvalidInputError(`${timeoutMs} ms is no time-out`, { place: 'timeoutMs' });
  const { Group } = loadAddon();
  const host = await resolveHost(options.host);
  const member = new GlooMember(new Group(), options);
  await member.connect(host);
  return member;
}

async function resolveHost(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    throw new InvalidInputError(`"${host}" does not resolve: ${messageOf(cause)}`, { place: 'host', cause });
  }
}

class GlooMember implements Collectives {
  readonly rank: number;
  readonly worldSize: number;
  readonly #options: GroupOptions;
  readonly #group: AddonGroup;
  readonly #onAbort = () => void this.close();
  #isClosed = false;

  constructor(group: AddonGroup, options: GroupOptions) {
    this.#group = group;
    this.#options = options;
    this.rank = options.rank;
    this.worldSize = options.worldSize;
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async connect(host: string): Promise<void> {
    const { rank, worldSize, timeoutMs, store } = this.#options;
    const late = new DeadlineExceededError(`not every replica connected within ${timeoutMs} ms`);
    const { promise: deadline, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(late), timeoutMs);
    // Gloo itself keeps a time-out per connection only.
    const within = <T>(answer: Promise<T>) => Promise.race([answer, deadline]);
    const boundedStore: RendezvousStore = {
      set: (key, value) => within(store.set(key, value)),
      get: (key) => within(store.get(key)),
    };
    try {
      await within(this.#group.connect({ rank, worldSize, host, timeoutMs, store: boundedStore }));
    } catch (error) {
      const isLate = error === late || messageOf(error).includes(late.message);
      const reason = isLate ? late : this.#translate(error);
      void this.close();
      throw reason;
    } finally {
      clearTimeout(timer);
    }
  }

  async allReduceSum(buffer: Float32Array): Promise<void> {
    checkFloats(buffer, 'buffer');
    await this.#call((group) => group.allReduceSum(buffer));
  }

  async allGather(input: Float32Array, output: Float32Array): Promise<void> {
    checkGather(input, output, this.worldSize);
    await this.#call((group) => group.allGather(input, output));
  }

  async broadcast(array: Float32Array | Uint8Array, root: number): Promise<void> {
    checkBroadcast(array, root, this.worldSize);
    await this.#call((group) => group.broadcast(array, root));
  }

  async barrier(): Promise<void> {
    await this.#call((group) => group.barrier());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    await this.#group.close();
  }

  async #call(collective: (group: AddonGroup) => Promise<void>): Promise<void> {
    try {
      await collective(this.#group);
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #translate(error: unknown): ApplicationError {
    const { signal, timeoutMs } = this.#options;
    if (signal?.aborted) return abortError(signal);
    const { code, ranks, message } = error as AddonError;
    if (this.#isClosed || code === 'closed') return new FailedPreconditionError('the group is closed');
    if (code === 'timeout')
      return new DeadlineExceededError(`not every replica took part within ${timeoutMs} ms`, {
        cause: error,
      });
    // Where several connections are broken, most are those of replicas that gave up because of the lost one.
    return new LostReplicaError(ranks.length === 1 ? ranks[0] : undefined, message, error);
  }
}
