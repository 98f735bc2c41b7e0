import { abortError, DeadlineExceededError, throwIfAborted } from '@online-cnclip/foundation';
import { BusyError } from './busy-error.ts';
import { FairQueue, type Waiter } from './fair-queue.ts';
import { Pace } from './pace.ts';

/**
 * A client's calls may wait with so many times the cost that is still free: one that floods fills 4/5 of the queue, ten
 * that flood leave 1/41 of it, and whoever comes then still finds room.
 */
const SHARE_OF_FREE = 4;

/** What one resource of a service bears. */
export interface BudgetLimits {
  /** `texts`: in errors and metrics. */
  readonly name: string;
  /** What its cost counts: `tokens`. */
  readonly unit: string;
  /** Cost that is worked on at a time. A call begins while it is not reached, so one call at most goes beyond. */
  readonly maxRunning: number;
  /** Cost that waits at most. */
  readonly maxWaiting: number;
}

export type Refusal = 'queue-full' | 'client-queue-full' | 'deadline-too-near';

export interface Entrant {
  /** Whose turn it takes. */
  readonly client: string;
  readonly cost: number;
  /** Takes it out of the queue at once. */
  readonly signal: AbortSignal;
  readonly deadline?: Date | undefined;
  /** A message of a stream whose reading waits for this: held back, never refused, since nothing comes after it. */
  readonly patient?: boolean;
}

interface WaitingEntrant extends Waiter {
  readonly deadline: Date | undefined;
  begin(): void;
  giveUp(): void;
}

/** Bounds the cost that is worked on, and the cost that waits for it; whoever waits does so in a {@link FairQueue}. */
export class Budget {
  readonly limits: BudgetLimits;
  readonly #queue = new FairQueue<WaitingEntrant>();
  readonly #pace: Pace;
  #onRefusal: ((reason: Refusal) => void) | undefined;
  #running = 0;

  constructor(limits: BudgetLimits) {
    this.limits = limits;
    this.#pace = new Pace(limits.maxRunning);
  }

  /** Cost that is worked on. */
  get running(): number {
    return this.#running;
  }

  /** Cost that waits. */
  get waiting(): number {
    return this.#queue.cost;
  }

  /** Calls that wait, and messages of streams. */
  get waitingCalls(): number {
    return this.#queue.size;
  }

  /** For metrics. */
  onRefusal(listener: (reason: Refusal) => void): void {
    this.#onRefusal = listener;
  }

  /**
   * Takes the cost out of the budget, to be given back by {@link leave}.
   *
   * @returns undefined when it may begin at once; else a promise of its turn, which rejects with the signal's reason, or
   *   DeadlineExceededError once it could not be done in time (and then there is nothing to give back).
   * @throws BusyError when it may not even wait; the signal's reason.
   */
  enter(entrant: Entrant): Promise<void> | undefined {
    throwIfAborted(entrant.signal);
    if (this.#queue.size === 0 && this.#running < this.limits.maxRunning) {
      this.#running += entrant.cost;
      return undefined;
    }
    if (!entrant.patient) this.#requireRoom(entrant);
    return this.#wait(entrant);
  }

  /** @param tookMs since it began, of work that went well. */
  leave(cost: number, tookMs?: number): void {
    this.#running -= cost;
    if (tookMs !== undefined) this.#pace.add(tookMs);
    this.#beginNext();
  }

  #requireRoom({ client, cost, deadline }: Entrant): void {
    // A call larger than the queue waits when no other does: its size is bounded by the limits of a message.
    if (this.#queue.size === 0) return;
    const mine = this.#queue.costOf(client) ?? 0;
    const free = this.limits.maxWaiting - this.#queue.cost;
    if (cost > free) this.#refuse('queue-full', this.#describe(mine, cost));
    if (mine + cost > SHARE_OF_FREE * free) this.#refuse('client-queue-full', this.#describe(mine, cost));
    if (!deadline) return;
    const needMs = this.#pace.waitMs(this.#costBefore(client, mine)) + this.#pace.callMs;
    const leftMs = deadline.getTime() - Date.now();
    if (needMs > leftMs)
      this.#refuse(
        'deadline-too-near',
        `it would take ${Math.round(needMs)} ms and its deadline is in ${leftMs} ms: ${this.#describe(mine, cost)}`,
      );
  }

  /** What is worked off before a client's next call begins: of what waits, no other client gets more than it meanwhile. */
  #costBefore(client: string, mine: number): number {
    const others = this.#queue.clients - (this.#queue.costOf(client) === undefined ? 0 : 1);
    return this.#running + Math.min(this.#queue.cost, mine * (others + 1));
  }

  #describe(mine: number, cost: number): string {
    const { name, unit, maxRunning, maxWaiting } = this.limits;
    return (
      `${this.#queue.cost} of ${maxWaiting} ${unit} wait in the queue of ${name}, ${mine} of them of this client, and ` +
      `${this.#running} of ${maxRunning} are worked on; ${cost} more do not fit`
    );
  }

  #refuse(reason: Refusal, state: string): never {
    this.#onRefusal?.(reason);
    // By then half of what waits is worked off.
    throw new BusyError(`${state}: retry later`, this.#pace.waitMs(this.#queue.cost) / 2);
  }

  #wait({ client, cost, signal, deadline }: Entrant): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#queue.delete(waiter);
      reject(abortError(signal));
    };
    const stopListening = () => signal.removeEventListener('abort', onAbort);
    const waiter: WaitingEntrant = {
      client,
      cost,
      deadline,
      begin: () => {
        stopListening();
        resolve();
      },
      giveUp: () => {
        stopListening();
        reject(new DeadlineExceededError('too little time was left when its turn came'));
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#queue.add(waiter);
    return promise;
  }

  #beginNext(): void {
    while (this.#running < this.limits.maxRunning) {
      const waiter = this.#queue.first();
      if (!waiter) return;
      if (this.#isTooLate(waiter)) {
        this.#queue.delete(waiter);
        waiter.giveUp();
        continue;
      }
      this.#queue.shift();
      this.#running += waiter.cost;
      waiter.begin();
    }
  }

  /**
   * Whether its answer would come after its deadline: in an overload every call would be begun just in time to be late. One
   * is always tried, lest a slow time be believed for ever.
   */
  #isTooLate({ deadline }: WaitingEntrant): boolean {
    return deadline !== undefined && this.#running > 0 && deadline.getTime() - Date.now() < this.#pace.callMs;
  }
}
