import { abortError, throwIfAborted } from '@online-cnclip/foundation';
import { BusyError } from './busy-error.ts';
import { Throughput } from './throughput.ts';

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

/** Told of every change, for metrics. */
export interface BudgetObserver {
  changed(state: { readonly running: number; readonly waiting: number; readonly waitingCalls: number }): void;
  refused(reason: Refusal): void;
}

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

interface Waiter {
  readonly cost: number;
  begin(): void;
}

interface ClientQueue {
  readonly waiters: Set<Waiter>;
  waiting: number;
  /** Where in the common count of cost the client's next waiter stands. */
  turn: number;
}

/**
 * Bounds the cost that is worked on, and the cost that waits for it. Clients take turns by cost (start-time fair
 * queueing, Goyal et al. 1996): a flood of one client makes that one wait.
 */
export class Budget {
  readonly limits: BudgetLimits;
  readonly #clients = new Map<string, ClientQueue>();
  readonly #throughput = new Throughput();
  #observer: BudgetObserver | undefined;
  #running = 0;
  #waiting = 0;
  #waitingCalls = 0;
  #clock = 0;

  constructor(limits: BudgetLimits) {
    this.limits = limits;
  }

  /** Cost that is worked on. */
  get running(): number {
    return this.#running;
  }

  /** Cost that waits. */
  get waiting(): number {
    return this.#waiting;
  }

  observe(observer: BudgetObserver): void {
    this.#observer = observer;
    this.#changed();
  }

  /**
   * Takes the cost out of the budget, to be given back by {@link leave}.
   *
   * @returns undefined when it may begin at once; else a promise of its turn, which rejects with the signal's reason (and
   *   then there is nothing to give back).
   * @throws BusyError when it may not even wait; the signal's reason.
   */
  enter(entrant: Entrant): Promise<void> | undefined {
    throwIfAborted(entrant.signal);
    if (this.#waitingCalls === 0 && this.#running < this.limits.maxRunning) {
      this.#running += entrant.cost;
      this.#changed();
      return undefined;
    }
    if (!entrant.patient) this.#requireRoom(entrant);
    return this.#wait(entrant);
  }

  leave(cost: number): void {
    this.#running -= cost;
    this.#throughput.add(cost, performance.now());
    this.#beginNext();
    this.#changed();
  }

  #requireRoom({ client, cost, deadline }: Entrant): void {
    // A call larger than the queue waits when no other does: its size is bounded by the limits of a message.
    if (this.#waitingCalls === 0) return;
    const mine = this.#clients.get(client)?.waiting ?? 0;
    const free = this.limits.maxWaiting - this.#waiting;
    if (cost > free) this.#refuse('queue-full', this.#describe(mine, cost));
    if (mine + cost > SHARE_OF_FREE * free) this.#refuse('client-queue-full', this.#describe(mine, cost));
    if (!deadline) return;
    const waitMs = this.#throughput.timeMs(this.#costBefore(client, mine + cost));
    const leftMs = deadline.getTime() - Date.now();
    if (waitMs > leftMs)
      this.#refuse(
        'deadline-too-near',
        `its turn would come in ${Math.round(waitMs)} ms and its deadline is in ${leftMs} ms: ${this.#describe(mine, cost)}`,
      );
  }

  /** What is worked off before a client's calls of so much cost are: no other client gets more than it meanwhile. */
  #costBefore(client: string, cost: number): number {
    const others = this.#clients.size - (this.#clients.has(client) ? 1 : 0);
    return Math.min(this.#waiting + cost, cost * (others + 1));
  }

  #describe(mine: number, cost: number): string {
    const { name, unit, maxRunning, maxWaiting } = this.limits;
    return (
      `${this.#waiting} of ${maxWaiting} ${unit} wait in the queue of ${name}, ${mine} of them of this client, and ` +
      `${this.#running} of ${maxRunning} are worked on; ${cost} more do not fit`
    );
  }

  #refuse(reason: Refusal, state: string): never {
    this.#observer?.refused(reason);
    // By then half of what waits is worked off.
    throw new BusyError(`${state}: retry later`, this.#throughput.timeMs(this.#waiting) / 2);
  }

  #wait({ client, cost, signal }: Entrant): Promise<void> {
    const queue = this.#queueOf(client);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = {
      cost,
      begin: () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      },
    };
    const onAbort = () => {
      this.#take(client, queue, waiter);
      this.#changed();
      reject(abortError(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    queue.waiters.add(waiter);
    queue.waiting += cost;
    this.#waiting += cost;
    this.#waitingCalls++;
    this.#changed();
    return promise;
  }

  #queueOf(client: string): ClientQueue {
    const known = this.#clients.get(client);
    if (known) return known;
    const queue = { waiters: new Set<Waiter>(), waiting: 0, turn: this.#clock };
    this.#clients.set(client, queue);
    return queue;
  }

  #beginNext(): void {
    while (this.#running < this.limits.maxRunning) {
      const next = this.#nextClient();
      const [waiter] = next?.[1].waiters ?? [];
      if (!next || !waiter) return;
      const [client, queue] = next;
      this.#take(client, queue, waiter);
      this.#clock = queue.turn;
      queue.turn += waiter.cost;
      this.#running += waiter.cost;
      waiter.begin();
    }
  }

  #nextClient(): readonly [string, ClientQueue] | undefined {
    let next: readonly [string, ClientQueue] | undefined;
    for (const entry of this.#clients) if (!next || entry[1].turn < next[1].turn) next = entry;
    return next;
  }

  #take(client: string, queue: ClientQueue, waiter: Waiter): void {
    queue.waiters.delete(waiter);
    queue.waiting -= waiter.cost;
    this.#waiting -= waiter.cost;
    this.#waitingCalls--;
    if (queue.waiters.size === 0) this.#clients.delete(client);
  }

  #changed(): void {
    this.#throughput.setBusy(this.#waitingCalls > 0, performance.now());
    this.#observer?.changed({
      running: this.#running,
      waiting: this.#waiting,
      waitingCalls: this.#waitingCalls,
    });
  }
}
