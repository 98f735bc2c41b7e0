import type { EventEmitter } from 'node:events';
import { type Metadata, status } from '@grpc/grpc-js';
import {
  CancelledError,
  DeadlineExceededError,
  type Logger,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { Counter, Gauge, Histogram } from 'prom-client';
import { type CallContext, createCallContext } from './call-context.ts';
import { statusOfError } from './error-boundary.ts';
import { RPC_TELEMETRY } from './metric-catalogue.ts';
import type { Access, AuthenticatedCall } from './security/access.ts';
import type { Telemetry } from './telemetry.ts';
import { startCallSpan } from './tracing/spans.ts';

/** What the four kinds of grpc-js calls have in common. */
export interface ServerCall extends EventEmitter, AuthenticatedCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getDeadline(): Date | number;
}

/** A caller whose deadline passed resets the stream, which may reach us before our own clock says so. */
const DEADLINE_TOLERANCE_MS = 50;

/** How long handlers get to notice that they were aborted at the end of a drain. */
const ABORT_GRACE_MS = 1_000;

/**
 * The calls a service has accepted: gives each its context, counts them, and lets a drain wait for their end.
 * (grpc-js's own `tryShutdown` waits for connections, and can wait for ever after a client's death.)
 */
export class Calls {
  readonly #active = new Set<AbortController>();
  readonly #draining = new AbortController();
  readonly #idle = Promise.withResolvers<void>();
  readonly #logger: Logger;
  readonly #access: Access;
  readonly #duration: Histogram<'method' | 'code'>;
  readonly #inFlight: Gauge<'method'>;
  readonly #refused: Counter<'method'>;
  readonly #received: Counter<'method'>;
  readonly #sent: Counter<'method'>;

  constructor(logger: Logger, telemetry: Telemetry, access: Access) {
    this.#logger = logger;
    this.#access = access;
    this.#duration = telemetry.histogram(RPC_TELEMETRY.duration);
    this.#inFlight = telemetry.gauge(RPC_TELEMETRY.inFlight);
    this.#refused = telemetry.counter(RPC_TELEMETRY.refused);
    this.#received = telemetry.counter(RPC_TELEMETRY.received);
    this.#sent = telemetry.counter(RPC_TELEMETRY.sent);
  }

  /**
   * Runs a handler as an accepted call. Rejects with nothing but the {@link CallStatus} to end the call with:
   * UNAVAILABLE when the service is draining, UNAUTHENTICATED or PERMISSION_DENIED by who calls, else what the error boundary makes
   * of the error.
   */
  async run<T>(call: ServerCall, method: string, handle: (context: CallContext) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const signals = { signal: controller.signal, draining: this.#draining.signal };
    const context = createCallContext(call, method, signals, this.#logger);
    if (this.#draining.signal.aborted) {
      this.#refused.inc({ method });
      throw statusOfError(new UnavailableError('the service is shutting down'), context);
    }
    const onCancelled = () => controller.abort(cancellation(context.deadline));
    call.once('cancelled', onCancelled);
    if (call.cancelled) onCancelled();
    this.#active.add(controller);
    this.#inFlight.inc({ method });
    const span = startCallSpan(call, method, () => context.requestId);
    const started = performance.now();
    let code = status.OK;
    try {
      this.#access.authorize(call, method);
      // It may have passed before the event loop came to the call.
      if (isPast(context.deadline)) controller.abort(cancellation(context.deadline));
      throwIfAborted(controller.signal);
      return await span.run(() => handle(context));
    } catch (error) {
      const ending = span.run(() => statusOfError(error, context));
      code = ending.code;
      throw ending;
    } finally {
      span.end(code);
      call.off('cancelled', onCancelled);
      this.#inFlight.dec({ method });
      this.#duration.observe({ method, code: status[code] }, (performance.now() - started) / 1000);
      this.#access.audit(call, method, { requestId: context.requestId, outcome: status[code] });
      this.#finish(controller);
    }
  }

  countReceived(method: string): void {
    this.#received.inc({ method });
  }

  countSent(method: string): void {
    this.#sent.inc({ method });
  }

  /**
   * Refuses new calls and waits for those accepted; aborts what is left after `timeoutMs`.
   *
   * @returns the number of calls that did not end even so.
   */
  async drain(timeoutMs: number): Promise<number> {
    this.#draining.abort();
    if (this.#active.size === 0) return 0;
    if (await within(this.#idle.promise, timeoutMs)) return 0;
    this.#logger.warn({ calls: this.#active.size, timeoutMs }, 'drain ran out of time, aborting calls');
    for (const controller of this.#active)
      controller.abort(new UnavailableError('the service is shutting down and the call took too long'));
    await within(this.#idle.promise, ABORT_GRACE_MS);
    return this.#active.size;
  }

  #finish(controller: AbortController): void {
    this.#active.delete(controller);
    if (this.#active.size === 0 && this.#draining.signal.aborted) this.#idle.resolve();
  }
}

const isPast = (deadline: Date | undefined): boolean =>
  deadline !== undefined && Date.now() >= deadline.getTime();

function cancellation(deadline: Date | undefined): Error {
  const passed = deadline !== undefined && Date.now() >= deadline.getTime() - DEADLINE_TOLERANCE_MS;
  return passed
    ? new DeadlineExceededError('the deadline passed')
    : new CancelledError('cancelled by the caller');
}

/** Whether the promise resolved in time. */
export async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), timeoutMs);
  try {
    return await Promise.race([promise.then(() => true), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
