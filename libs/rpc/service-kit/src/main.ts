import { setLogger } from '@grpc/grpc-js';
import type { ConfigOf, Settings } from '@online-cnclip/foundation';
import type { Implementation } from './handlers.ts';
import { Health } from './health.ts';
import { type Listener, type ProcessContext, type ProcessOptions, runProcess } from './process.ts';
import { type HealthServer, startHealthServer } from './security/health-server.ts';
import { createService } from './service.ts';
import { METRICS_OFF, type ServiceConfig, type ServiceSettings } from './settings.ts';

/** What a composition root has to build its parts with. */
export interface CompositionContext<C> extends ProcessContext<C> {
  /** To be set to serving after a real inference. */
  readonly health: Health;
}

/** The parts of a service, wired. */
export interface Composition {
  readonly implementations: readonly Implementation[];
  /** Runs once the server listens: load, warm up, then say that the service is serving. A rejection ends the process. */
  start?(): Promise<void>;
  /** Runs after the last call has ended; disposes what was built. */
  close?(): Promise<void>;
}

export interface MainOptions<S extends Settings & ServiceSettings> extends Omit<ProcessOptions<S>, 'open'> {
  compose(context: CompositionContext<ConfigOf<S>>): Promise<Composition>;
}

/**
 * The whole life of a gRPC service's process, see {@link runProcess}: drains on SIGTERM or SIGINT. Whether it can
 * already answer is told by grpc.health.v1.
 */
export async function runMain<S extends Settings & ServiceSettings>({
  compose,
  ...options
}: MainOptions<S>): Promise<void> {
  await runProcess<S>({ ...options, open: (context) => openService(options.name, compose, context) });
}

async function openService<S extends Settings & ServiceSettings>(
  name: string,
  compose: MainOptions<S>['compose'],
  context: ProcessContext<ConfigOf<S>>,
): Promise<Listener> {
  const { config, logger, telemetry, security } = context;
  // What grpc-js has to say goes into the same log, as JSON.
  setLogger({ error: (...parts: unknown[]) => logger.warn({ source: 'grpc-js' }, parts.join(' ')) });
  const health = new Health();
  const composition = await compose({ ...context, health });
  const { maxMessageBytes, drainTimeoutMs, healthAddress }: ServiceConfig = config;
  const { implementations } = composition;
  const parts = { name, implementations, logger, telemetry, health, security };
  const service = createService({ ...parts, maxMessageBytes, drainTimeoutMs });
  let healthServer: HealthServer | undefined;
  return {
    async listen(address) {
      if (healthAddress !== METRICS_OFF) healthServer = await startHealthServer(healthAddress, health);
      return service.listen(address);
    },
    get healthAddress() {
      return healthServer?.address;
    },
    ...(composition.start && { start: () => composition.start?.() ?? Promise.resolve() }),
    async close() {
      await service.close();
      healthServer?.close();
      await composition.close?.();
    },
  };
}
