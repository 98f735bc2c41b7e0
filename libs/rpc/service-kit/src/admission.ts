import {
  DEFAULT_MAX_MESSAGE_BYTES,
  type MethodShape,
  type RequestOf,
  type ServiceShape,
} from '@online-cnclip/contracts';
import { throwIfAborted } from '@online-cnclip/foundation';
import type { Counter } from 'prom-client';
import { Budget, type BudgetLimits } from './budget.ts';
import { BusyError } from './busy-error.ts';
import type { CallContext } from './call-context.ts';
import type { Implementation } from './handlers.ts';
import { encodedBytes } from './messages.ts';
import { ADMISSION_TELEMETRY } from './metric-catalogue.ts';
import type { Telemetry } from './telemetry.ts';

/** What is taken out of a budget. */
export interface Charge {
  readonly budget: Budget;
  readonly cost: number;
}

/** What a call with one request costs, or each message of a stream of requests. */
export interface CostRule<Message> {
  /** All that it may charge. */
  readonly budgets: readonly Budget[];
  chargeOf(message: Message): Charge;
  /**
   * `next` (default): a stream's message costs until the handler asks for the next one. `released`: until the handler says
   * so by `context.release(message)`, for handlers that work on several; its end releases all.
   */
  readonly heldUntil?: 'next' | 'released';
}

/** A rule that charges one budget. */
export const chargeTo = <Message>(
  budget: Budget,
  costOf: (message: Message) => number,
): CostRule<Message> => ({ budgets: [budget], chargeOf: (message) => ({ budget, cost: costOf(message) }) });

/** Rules of the methods that have one; the others cost the bytes of their messages. */
export type Costs<D extends ServiceShape> = { readonly [Name in keyof D]?: CostRule<RequestOf<D[Name]>> };

/** Two of the largest messages worked on, two waiting: what a service holds of requests that nobody counts otherwise. */
export const DEFAULT_BUDGET: BudgetLimits = {
  name: 'requests',
  unit: 'bytes',
  maxRunning: 2 * DEFAULT_MAX_MESSAGE_BYTES,
  maxWaiting: 2 * DEFAULT_MAX_MESSAGE_BYTES,
};

/** A call holds a context, timers and a stream, however small its request is. */
const MIN_CALL_BYTES = 4_096;

/** Streams of requests that are open at a time. Each holds one message that waits, and what its handler lets it hold. */
export const MAX_REQUEST_STREAMS = 256;

/** Streams last. */
const STREAM_RETRY_MS = 1_000;

/** Lets calls in by what they cost, before anything is done for them. */
export class Admission {
  readonly #defaultRule: CostRule<unknown>;
  readonly #rules = new Map<MethodShape, CostRule<unknown>>();
  readonly #refused: Counter<'budget' | 'reason'>;
  #streams = 0;

  constructor(implementations: readonly Implementation[], telemetry: Telemetry) {
    this.#defaultRule = chargeTo(new Budget(DEFAULT_BUDGET), (message) =>
      Math.max(MIN_CALL_BYTES, encodedBytes(message)),
    );
    for (const { definition, costs = {} } of implementations)
      for (const [name, rule] of Object.entries(costs)) {
        const method = definition[name];
        if (method) this.#rules.set(method, rule);
      }
    this.#refused = telemetry.counter(ADMISSION_TELEMETRY.refused);
    this.#observeBudgets(telemetry);
  }

  /** Runs a call with one request when its turn has come. @throws BusyError at once when it may not wait. */
  async run<T>(
    method: MethodShape,
    request: unknown,
    context: CallContext,
    work: () => T,
  ): Promise<Awaited<T>> {
    const { budget, cost } = this.#ruleOf(method).chargeOf(request);
    const turn = budget.enter({ ...entrantOf(context), cost });
    if (turn) await turn;
    const began = performance.now();
    let tookMs: number | undefined;
    try {
      throwIfAborted(context.signal);
      const result = await work();
      tookMs = performance.now() - began;
      return result;
    } finally {
      budget.leave(cost, tookMs);
    }
  }

  /** Admits the messages of one stream, one after the other. @throws BusyError when too many are open. */
  openStream(method: MethodShape, context: CallContext): MessageAdmission {
    if (this.#streams >= MAX_REQUEST_STREAMS) {
      this.#refused.inc({ budget: 'streams', reason: 'too-many-streams' });
      throw new BusyError(
        `${this.#streams} streams of requests are open, the most of this service: retry later`,
        STREAM_RETRY_MS,
      );
    }
    this.#streams++;
    return new MessageAdmission(this.#ruleOf(method), context, () => {
      this.#streams--;
    });
  }

  #ruleOf(method: MethodShape): CostRule<unknown> {
    return this.#rules.get(method) ?? this.#defaultRule;
  }

  #observeBudgets(telemetry: Telemetry): void {
    const rules = [this.#defaultRule, ...this.#rules.values()];
    const budgets = [...new Set(rules.flatMap((rule) => rule.budgets))];
    for (const name of ['running', 'waiting', 'waitingCalls'] as const)
      telemetry.gauges(ADMISSION_TELEMETRY[name], () =>
        budgets.map((budget) => ({ labels: { budget: budget.limits.name }, value: budget[name] })),
      );
    for (const budget of budgets)
      budget.onRefusal((reason) => this.#refused.inc({ budget: budget.limits.name, reason }));
  }
}

/** The messages of one stream: each waits for its turn before the handler sees it, and the stream is not read meanwhile. */
export class MessageAdmission {
  readonly #rule: CostRule<unknown>;
  readonly #context: CallContext;
  readonly #onClose: () => void;
  readonly #held = new Map<unknown, HeldMessage>();
  #closed = false;

  constructor(rule: CostRule<unknown>, context: CallContext, onClose: () => void) {
    this.#rule = rule;
    this.#context = context;
    this.#onClose = onClose;
  }

  /** The handler asks for another message. */
  askNext(): void {
    if (this.#rule.heldUntil !== 'released')
      for (const message of [...this.#held.keys()]) this.release(message);
  }

  /** Resolves when the handler may have the message. @throws the signal's reason. */
  async admit(message: unknown): Promise<void> {
    const charge = this.#rule.chargeOf(message);
    const { budget, cost } = charge;
    const turn = budget.enter({ ...entrantOf(this.#context), cost, patient: true });
    if (turn) await turn;
    // A handler that has ended will not release what it never sees.
    if (this.#closed) budget.leave(cost);
    else this.#held.set(message, { charge, began: performance.now() });
  }

  /** Gives a message's cost back, as it is done; a second time nothing happens. */
  release(message: unknown): void {
    const held = this.#held.get(message);
    if (held) this.#leave(message, held, performance.now() - held.began);
  }

  close(): void {
    this.#closed = true;
    for (const [message, held] of this.#held) this.#leave(message, held);
    this.#onClose();
  }

  #leave(message: unknown, { charge }: HeldMessage, tookMs?: number): void {
    this.#held.delete(message);
    charge.budget.leave(charge.cost, tookMs);
  }
}

interface HeldMessage {
  readonly charge: Charge;
  readonly began: number;
}

const entrantOf = ({ client, signal, deadline }: CallContext) => ({ client, signal, deadline });
