import { setLogger } from '@grpc/grpc-js';
import {
  ApplicationError,
  type ConfigOf,
  createLogger,
  describeSettings,
  type Logger,
  loadConfig,
  messageOf,
  type Settings,
} from '@online-cnclip/foundation';
import type { Implementation } from './handlers.ts';
import { Health } from './health.ts';
import { type MetricsServer, startMetricsServer } from './metrics-server.ts';
import { createService, type Service } from './service.ts';
import { METRICS_OFF, type ServiceConfig, type ServiceSettings } from './settings.ts';
import { Telemetry } from './telemetry.ts';

/** Exit statuses of a service's process. */
export const EXIT = { ok: 0, failed: 1, badConfiguration: 2 } as const;

/** What a composition root has to build its parts with. */
export interface CompositionContext<C> {
  readonly config: C;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  /** To be set to serving after a real inference. */
  readonly health: Health;
  /** Aborted when the process is told to end: for work that no call waits for. */
  readonly shutdown: AbortSignal;
}

/** The parts of a service, wired. */
export interface Composition {
  readonly implementations: readonly Implementation[];
  /** Runs once the server listens: load, warm up, then say that the service is serving. A rejection ends the process. */
  start?(): Promise<void>;
  /** Runs after the last call has ended; disposes what was built. */
  close?(): Promise<void>;
}

export interface MainOptions<S extends Settings & ServiceSettings> {
  /** `encoder`. */
  readonly name: string;
  /** {@link serviceSettings} and the service's own. */
  readonly settings: S;
  /** `process.env`, which only a `main.ts` reads. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `process.argv.slice(2)`. */
  readonly flags: readonly string[];
  compose(context: CompositionContext<ConfigOf<S>>): Promise<Composition>;
}

/**
 * The whole life of a service's process: configuration, composition, listening, drain on SIGTERM or SIGINT.
 *
 * When both servers listen it prints one line of JSON, `{"ready":"encoder","address":"127.0.0.1:50051",
 * "metrics":"127.0.0.1:9464"}` (metrics null when off), the only line on standard output; whether the service
 * can already answer is told by grpc.health.v1. Exits with {@link EXIT}: 2 when the configuration is wrong.
 */
export async function runMain<S extends Settings & ServiceSettings>(options: MainOptions<S>): Promise<void> {
  const { name, settings, flags, environment } = options;
  if (flags.includes('--help')) {
    process.stdout.write(
      `${name}: settings by flag, environment variable [default]\n${describeSettings(settings)}\n`,
    );
    return;
  }
  let config: ConfigOf<S>;
  try {
    config = loadConfig(settings, { environment, flags });
  } catch (error) {
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    process.exitCode = EXIT.badConfiguration;
    return;
  }
  const logger = createLogger(name, (config as ServiceConfig).logLevel);
  // What grpc-js has to say goes into the same log, as JSON.
  setLogger({ error: (...parts: unknown[]) => logger.warn({ source: 'grpc-js' }, parts.join(' ')) });
  process.once('uncaughtException', (error) => endProcess(logger, error));
  try {
    await runService(options, config, logger);
    endProcess(logger);
  } catch (error) {
    endProcess(logger, error);
  }
}

async function runService<S extends Settings & ServiceSettings>(
  { name, compose }: MainOptions<S>,
  config: ConfigOf<S>,
  logger: Logger,
): Promise<void> {
  const shutdown = shutdownOnSignals(logger);
  const telemetry = new Telemetry(name);
  telemetry.collectProcessMetrics();
  const health = new Health();
  const composition = await compose({ config, logger, telemetry, health, shutdown });
  const { listenAddress, metricsAddress, maxMessageBytes, drainTimeoutMs }: ServiceConfig = config;
  const service = createService({
    name,
    implementations: composition.implementations,
    logger,
    telemetry,
    health,
    maxMessageBytes,
    drainTimeoutMs,
  });
  let metrics: MetricsServer | undefined;
  try {
    if (metricsAddress !== METRICS_OFF) metrics = await startMetricsServer(metricsAddress, telemetry);
    await serveUntil(shutdown, name, service, listenAddress, metrics?.address ?? null, logger, composition);
  } finally {
    await service.close();
    await composition.close?.();
    await metrics?.close();
  }
}

async function serveUntil(
  shutdown: AbortSignal,
  name: string,
  service: Service,
  listenAddress: string,
  metrics: string | null,
  logger: Logger,
  composition: Composition,
): Promise<void> {
  if (shutdown.aborted) return;
  const address = await service.listen(listenAddress);
  process.stdout.write(`${JSON.stringify({ ready: name, address, metrics })}\n`);
  logger.info({ address, metrics }, 'listening');
  const ended = Promise.withResolvers<void>();
  shutdown.addEventListener('abort', () => ended.resolve(), { once: true });
  if (shutdown.aborted) return;
  // A start that fails ends the process; one that succeeds leaves it to the signal.
  composition.start?.().then(() => logger.info('started'), ended.reject);
  await ended.promise;
}

function shutdownOnSignals(logger: Logger): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      // The same signal again means haste. (A terminal's Ctrl-C followed by a launcher's SIGTERM does not.)
      process.once(signal, () => process.exit(EXIT.failed));
      logger.info({ signal }, 'shutting down');
      controller.abort();
    });
  return controller.signal;
}

/** Ends the process once the log is written, even where a native thread or a timer would keep it alive. */
function endProcess(logger: Logger, error?: unknown): void {
  const code = error === undefined ? EXIT.ok : EXIT.failed;
  if (error instanceof ApplicationError) logger.fatal({ err: error }, error.message);
  else if (error !== undefined) logger.fatal({ err: error }, 'the service failed');
  else logger.info('ended');
  logger.flush(() => process.exit(code));
}
