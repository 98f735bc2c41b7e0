import { readFileSync } from 'node:fs';
import { Server, type ServiceDefinition } from '@grpc/grpc-js';
import {
  DEFAULT_MAX_MESSAGE_BYTES,
  descriptorSetPath,
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  serviceName,
} from '@online-cnclip/contracts';
import type { Logger } from '@online-cnclip/foundation';
import { adaptHandlers } from './adapt.ts';
import { formatAddress, parseAddress } from './address.ts';
import { Admission } from './admission.ts';
import { Calls, within } from './calls.ts';
import type { Implementation } from './handlers.ts';
import { HEALTH_SERVICE, Health } from './health.ts';
import { guardMessages } from './messages.ts';
import { addReflection } from './reflection.ts';
import { Access } from './security/access.ts';
import { bindPlaintext } from './security/bind.ts';
import { guardServices } from './security/guarded-services.ts';
import type { ServerSecurity } from './security/process-security.ts';
import { Refusals } from './security/refusals.ts';
import { TlsListener } from './security/tls-listener.ts';
import { Telemetry } from './telemetry.ts';

/** Calls at once on one connection; more wait in the client. Bounds what one client can hold of a service. */
export const MAX_CONCURRENT_STREAMS = 1_000;

/**
 * Connections are replaced after so long, their calls finished on the old one: clients then look the service's name up again and
 * find replicas that came since.
 */
export const MAX_CONNECTION_AGE_MS = 300_000;

/**
 * Calls that a client gives up, on one connection: so many at once, so many a second. Node closes a connection at 1,000 and
 * 33, which an overload reaches when its callers' deadlines pass, and fails all other calls with it. A call given up
 * costs a tenth of a millisecond.
 */
const GIVEN_UP_CALLS = { streamResetBurst: 10_000, streamResetRate: 1_000 };

/** Time for accepted calls to end on their own: below the 30 s that Kubernetes gives a process by default. */
export const DEFAULT_DRAIN_TIMEOUT_MS = 20_000;

/** Time for the last responses to reach their clients once every handler has ended. */
const FLUSH_TIMEOUT_MS = 1_000;

export interface ServiceOptions {
  /** For logs and metrics: `encoder`. */
  readonly name: string;
  readonly implementations: readonly Implementation[];
  readonly logger: Logger;
  readonly telemetry?: Telemetry;
  readonly health?: Health;
  readonly maxMessageBytes?: number;
  readonly drainTimeoutMs?: number;
  /** Plain text by default. */
  readonly security?: ServerSecurity;
}

/** A gRPC server with health checking, reflection, metrics, an error boundary and an orderly end. */
export interface Service {
  readonly health: Health;
  readonly telemetry: Telemetry;
  /**
   * Binds `host:port` (port 0: any).
   *
   * @returns the address with the port that was taken.
   * @throws UnavailableError when it cannot be bound.
   */
  listen(address: string): Promise<string>;
  /**
   * NOT_SERVING, refuses new calls with UNAVAILABLE, finishes accepted ones, closes. After `drainTimeoutMs` what is left
   * is aborted. Calling it again waits for the same end.
   */
  close(): Promise<void>;
}

/** Builds a service around its handlers; nothing is bound yet. */
export function createService(options: ServiceOptions): Service {
  const {
    name,
    implementations,
    logger,
    telemetry = new Telemetry(name),
    health = new Health(),
    maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES,
    drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS,
    security,
  } = options;
  const server = createServer(maxMessageBytes);
  const refusals = security?.refusals ?? new Refusals(logger, telemetry);
  const access = new Access(security?.tls && security, refusals, logger);
  const calls = new Calls(logger, telemetry, access);
  const admission = new Admission(implementations, telemetry);
  for (const implementation of implementations) {
    const definition = guardMessages(implementation.definition, logger);
    server.addService(
      definition as unknown as ServiceDefinition,
      adaptHandlers(implementation, calls, admission),
    );
  }
  const services = implementations.map(({ definition }) => serviceName(definition));
  const guarded = guardServices(server, access);
  health.addTo(guarded, services);
  addReflection(guarded, readFileSync(descriptorSetPath), [...services, HEALTH_SERVICE]);

  const listeners: TlsListener[] = [];
  let closing: Promise<void> | undefined;
  return {
    health,
    telemetry,
    async listen(address) {
      if (!security?.tls) return bindPlaintext(server, address);
      const listener = await TlsListener.open(server, address, security.tls, refusals);
      listeners.push(listener);
      return formatAddress({ ...parseAddress(address), port: listener.port });
    },
    close() {
      closing ??= closeServer(server, listeners, health, calls, { drainTimeoutMs, logger });
      return closing;
    },
  };
}

function createServer(maxMessageBytes: number): Server {
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': MAX_CONCURRENT_STREAMS,
    'grpc.max_connection_age_ms': MAX_CONNECTION_AGE_MS,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  });
  // Passed on to Node's HTTP/2 server; grpc-js has no option for it (a test counts on it).
  Object.assign((server as unknown as { commonServerOptions: object }).commonServerOptions, GIVEN_UP_CALLS);
  return server;
}

async function closeServer(
  server: Server,
  listeners: readonly TlsListener[],
  health: Health,
  calls: Calls,
  { drainTimeoutMs, logger }: { readonly drainTimeoutMs: number; readonly logger: Logger },
): Promise<void> {
  health.close();
  const left = await calls.drain(drainTimeoutMs);
  if (left > 0) logger.error({ calls: left }, 'handlers ignored their abort signal');
  for (const listener of listeners) listener.close();
  const flushed = Promise.withResolvers<void>();
  server.tryShutdown(() => flushed.resolve());
  await within(flushed.promise, FLUSH_TIMEOUT_MS);
  server.forceShutdown();
}
