import {
  ApplicationError,
  type ConfigOf,
  createLogger,
  describeSettings,
  flagOf,
  type Logger,
  loadConfig,
  messageOf,
  type Settings,
  storageErrorOf,
} from '@online-cnclip/foundation';
import { tlsFilesOf } from '@online-cnclip/security';
import { buildInfo } from './build-info.ts';
import { PROCESS_TELEMETRY } from './metric-catalogue.ts';
import { type MetricsServer, startMetricsServer } from './metrics-server.ts';
import { profileOnSignal } from './profile.ts';
import { requireLoopback } from './security/plaintext.ts';
import { openProcessSecurity, type ProcessSecurity } from './security/process-security.ts';
import { environmentName, METRICS_OFF, type ProcessConfig, type ProcessSettings } from './settings.ts';
import { Telemetry } from './telemetry.ts';
import { traceFields } from './tracing/spans.ts';
import { startTracing } from './tracing/start-tracing.ts';

/** Exit statuses of a service's process. */
export const EXIT = { ok: 0, failed: 1, badConfiguration: 2 } as const;

/** What the parts of any service are built with, whatever protocol it speaks. */
export interface ProcessContext<C> {
  readonly config: C;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly security: ProcessSecurity;
  /** Aborted when the process is told to end: for work that no call waits for. */
  readonly shutdown: AbortSignal;
}

/** A server that the process listens with, and its end. */
export interface Listener {
  /** Binds `host:port` (port 0: any) and returns the address with the port that was taken. */
  listen(address: string): Promise<string>;
  /** Where health is told in plain text, once it listens. */
  readonly healthAddress?: string | undefined;
  /** Runs once the server listens: load, warm up. A rejection ends the process. */
  start?(): Promise<void>;
  /** Ends what is going on within the drain timeout, and disposes what was built. */
  close(): Promise<void>;
}

export interface ProcessOptions<S extends Settings & ProcessSettings> {
  /** `encoder`. */
  readonly name: string;
  /** The settings that every process has, and the service's own. */
  readonly settings: S;
  /** The environment variables, which only a `main.ts` reads. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `process.argv.slice(2)`. */
  readonly flags: readonly string[];
  open(context: ProcessContext<ConfigOf<S>>): Promise<Listener>;
}

/**
 * The whole life of a service's process: configuration, composition, listening, an orderly end on SIGTERM or SIGINT.
 *
 * When the server and that of the metrics listen it prints one line of JSON, `{"ready":"encoder","address":"127.0.0.1:50051",
 * "metrics":"127.0.0.1:9464"}` (metrics null when off, and `health` where that has an address of its own), the only line on standard output. Exits with {@link EXIT}: 2 when
 * the configuration is wrong.
 */
export async function runProcess<S extends Settings & ProcessSettings>(
  options: ProcessOptions<S>,
): Promise<void> {
  const { name, settings, flags, environment } = options;
  if (flags.includes('--help')) {
    process.stdout.write(
      `${name}: settings by flag, environment variable [default]\n${describeSettings(settings)}\n`,
    );
    return;
  }
  let config: ConfigOf<S>;
  try {
    config = loadConfig(settings, { environment, environmentPrefix: environmentName(name, ''), flags });
  } catch (error) {
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    process.exitCode = EXIT.badConfiguration;
    return;
  }
  const { logLevel, tracesEndpoint }: ProcessConfig = config;
  const logger = createLogger(
    name,
    logLevel,
    undefined,
    tracesEndpoint === undefined ? undefined : traceFields,
  );
  const telemetry = new Telemetry(name);
  const security = await openSecurity(config, logger, telemetry).catch((error: unknown) => {
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    process.exitCode = EXIT.badConfiguration;
  });
  if (!security) return;
  process.once('uncaughtException', (error) => endProcess(logger, error));
  try {
    await runListener(options, { config, logger, telemetry, security });
    endProcess(logger);
  } catch (error) {
    endProcess(logger, error);
  }
}

async function runListener<S extends Settings & ProcessSettings>(
  { name, open }: ProcessOptions<S>,
  parts: Omit<ProcessContext<ConfigOf<S>>, 'shutdown'>,
): Promise<void> {
  const { config, logger, telemetry, security } = parts;
  const shutdown = shutdownOnSignals(logger);
  const { profileFolder }: ProcessConfig = config;
  const profileEnded = profileOnSignal({ name, folder: profileFolder, logger, signal: shutdown });
  telemetry.collectProcessMetrics();
  telemetry.info(PROCESS_TELEMETRY.build, () => buildInfo);
  const { listenAddress, metricsAddress, tracesEndpoint, tracesRatio }: ProcessConfig = config;
  const tracing = await startTracing({
    service: name,
    endpoint: tracesEndpoint,
    ratio: tracesRatio,
    logger,
    telemetry,
  });
  const listener = await open({ ...parts, shutdown });
  let metrics: MetricsServer | undefined;
  try {
    if (metricsAddress !== METRICS_OFF)
      metrics = await startMetricsServer(metricsAddress, telemetry, security);
    if (shutdown.aborted) return;
    const address = await listener.listen(listenAddress);
    const { healthAddress: health } = listener;
    const ready = { ready: name, address, metrics: metrics?.address ?? null, ...(health && { health }) };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
    const { ready: _, ...addresses } = ready;
    logger.info({ ...addresses, tls: security.tls !== undefined }, 'listening');
    await startAndWait(listener, shutdown, logger);
  } finally {
    await listener.close();
    await tracing.close();
    await profileEnded();
    await metrics?.close();
    security.close();
  }
}

/** @throws InvalidInputError where plain text would be open to others, or a file is wrong. */
async function openSecurity(
  config: ProcessConfig,
  logger: Logger,
  telemetry: Telemetry,
): Promise<ProcessSecurity> {
  const files = tlsFilesOf(config, flagOf);
  const security = await openProcessSecurity({ ...config, files }, logger, telemetry);
  if (security.tls) return security;
  requireLoopback(config.listenAddress, config.allowPlaintext);
  if (config.metricsAddress !== METRICS_OFF) requireLoopback(config.metricsAddress, config.allowPlaintext);
  return security;
}

async function startAndWait(listener: Listener, shutdown: AbortSignal, logger: Logger): Promise<void> {
  const ended = Promise.withResolvers<void>();
  shutdown.addEventListener('abort', () => ended.resolve(), { once: true });
  if (shutdown.aborted) return;
  // A start that fails ends the process; one that succeeds leaves it to the signal.
  listener.start?.().then(() => logger.info('started'), ended.reject);
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
  const known = error instanceof ApplicationError ? error : storageErrorOf(error);
  if (known) logger.fatal({ err: known }, known.message);
  else if (error !== undefined) logger.fatal({ err: error }, 'the service failed');
  else logger.info('ended');
  logger.flush(() => process.exit(code));
}
