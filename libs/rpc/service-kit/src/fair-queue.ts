export interface Waiter {
  readonly client: string;
  readonly cost: number;
}

interface ClientQueue<W> {
  readonly waiters: Set<W>;
  cost: number;
  /** Where in the common count of cost the client's next waiter stands. */
  turn: number;
}

/**
 * Clients take turns by cost (start-time fair queueing, Goyal et al. 1996): of those that wait the one that got least is
 * next, so that a flood of one client makes that one wait.
 */
export class FairQueue<W extends Waiter> {
  readonly #clients = new Map<string, ClientQueue<W>>();
  #cost = 0;
  #size = 0;
  #clock = 0;

  get cost(): number {
    return this.#cost;
  }

  get size(): number {
    return this.#size;
  }

  /** Clients that wait. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Cost that waits of one client; undefined when it has none. */
  costOf(client: string): number | undefined {
    return this.#clients.get(client)?.cost;
  }

  add(waiter: W): void {
    let queue = this.#clients.get(waiter.client);
    if (!queue) {
      // Whoever comes is next, but is not made up for the time before it came.
      queue = { waiters: new Set(), cost: 0, turn: this.#clock };
      this.#clients.set(waiter.client, queue);
    }
    queue.waiters.add(waiter);
    queue.cost += waiter.cost;
    this.#cost += waiter.cost;
    this.#size++;
  }

  delete(waiter: W): void {
    const queue = this.#clients.get(waiter.client);
    if (!queue?.waiters.delete(waiter)) return;
    queue.cost -= waiter.cost;
    this.#cost -= waiter.cost;
    this.#size--;
    if (queue.waiters.size === 0) this.#clients.delete(waiter.client);
  }

  /** Whose turn it is. */
  first(): W | undefined {
    const [waiter] = this.#next()?.waiters ?? [];
    return waiter;
  }

  /** Takes the waiter whose turn it is; it counts as what its client got. */
  shift(): W | undefined {
    const queue = this.#next();
    const [waiter] = queue?.waiters ?? [];
    if (!queue || !waiter) return undefined;
    this.#clock = queue.turn;
    queue.turn += waiter.cost;
    this.delete(waiter);
    return waiter;
  }

  #next(): ClientQueue<W> | undefined {
    let next: ClientQueue<W> | undefined;
    for (const queue of this.#clients.values()) if (!next || queue.turn < next.turn) next = queue;
    return next;
  }
}
