import { status } from '@grpc/grpc-js';
import type { ServiceShape } from '@online-cnclip/contracts';

/**
 * How often a call is tried, the first time included. The waits double from a fifth of a second, give or take a fifth each
 * (jitter), 1.4 s in all: long enough for another replica to be found, short enough for a person who waits. A service
 * that is full says itself when to come back.
 */
const MAX_ATTEMPTS = 4;
const INITIAL_BACKOFF = '0.2s';
const MAX_BACKOFF = '2s';
const BACKOFF_MULTIPLIER = 2;

/**
 * The budget of a channel: each failure takes a token, ten successes give one back, and nothing is retried while half of
 * them are gone. A service that is down or full gets at most a tenth more calls than its callers make.
 */
const RETRY_BUDGET = { maxTokens: 10, tokenRatio: 0.1 };

/** Nobody there, or shutting down: another replica, or the next one, can do it. Full: a moment later there is room. */
const RETRIED = [status.UNAVAILABLE, status.RESOURCE_EXHAUSTED].map((code) => status[code]);

/**
 * What grpc-js is told by a service config: calls take turns over all addresses of a name (a headless Service of
 * Kubernetes), instead of all going to the first; those of the safe methods are retried. No hedging: a service that is
 * slow has enough to do.
 *
 * @param safeMethods by their names in the definition: those that may be done twice, being reads or pure computing.
 */
export function serviceConfigOf<D extends ServiceShape>(
  definition: D,
  safeMethods: readonly (keyof D)[],
): string {
  const name = safeMethods.map((method) => nameOf(definition, method));
  const retryPolicy = {
    maxAttempts: MAX_ATTEMPTS,
    initialBackoff: INITIAL_BACKOFF,
    maxBackoff: MAX_BACKOFF,
    backoffMultiplier: BACKOFF_MULTIPLIER,
    retryableStatusCodes: RETRIED,
  };
  return JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: name.length > 0 ? [{ name, retryPolicy }] : [],
    retryThrottling: RETRY_BUDGET,
  });
}

function nameOf<D extends ServiceShape>(
  definition: D,
  method: keyof D,
): { readonly service: string; readonly method: string } {
  const [, service = '', name = ''] = definition[method]?.path.split('/') ?? [];
  return { service, method: name };
}
