import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openClientSecurity } from '@online-cnclip/client';
import { ApplicationError, abortError, CancelledError, InvalidInputError } from '@online-cnclip/foundation';
import { ownFiles } from './certificates.ts';
import { consoleDefinition, formatConsole } from './console.ts';
import { FOLDER_INDEX, HELD_OUT_INDEXES } from './galleries.ts';
import { runMainJob } from './main-job/main-job.ts';
import { type LauncherOptions, parseLauncherOptions, USAGE } from './options.ts';
import { type Supervisor, startServices } from './processes/supervisor.ts';
import { createProgress } from './progress.ts';
import { formatReport, writeReport } from './report.ts';
import {
  addressOf,
  closeClients,
  connectServices,
  formatAddresses,
  type ServiceClients,
  serviceDefinitions,
} from './services.ts';

const EXIT = { ok: 0, failed: 1, badUsage: 2, interrupted: 130 } as const;
const KEEP_ALIVE_MS = 60_000;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const progress = createProgress(process.stdout);

/** What scripts/setup.mjs measured, right before; 0 when the launcher was started without it. */
function setupSeconds(): number {
  const path = join(root, 'var/setup-seconds');
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}

/** The first signal asks everything to end; a second one ends this process, which takes the services with it. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort(new CancelledError(`stopped by ${name}`));
    });
  return controller.signal;
}

async function launch(options: LauncherOptions, signal: AbortSignal): Promise<number> {
  const { certs } = options;
  const dataFolder = join(options.folder, 'data');
  const { credentials } = await openClientSecurity(ownFiles(certs));
  progress.note('starting the services');
  const supervisor = await startServices(
    [
      ...serviceDefinitions(root, dataFolder, options.portBase, certs),
      consoleDefinition(root, dataFolder, options.portBase, certs),
    ],
    { logFolder: join(options.folder, 'logs'), environment: process.env },
    signal,
  );
  progress.note(formatConsole(supervisor.services, certs));
  try {
    const clients = await connectServices(supervisor.services, { credentials });
    const ended = AbortSignal.any([signal, supervisor.failure]);
    await doMainJob(options, dataFolder, supervisor, clients, ended);
    if (!options.once) await stayUp(supervisor, options, signal);
    return EXIT.ok;
  } finally {
    await supervisor.stop();
  }
}

async function doMainJob(
  options: LauncherOptions,
  dataFolder: string,
  { services }: Supervisor,
  clients: ServiceClients,
  signal: AbortSignal,
): Promise<void> {
  try {
    const shop = addressOf(services, 'fixture-shop');
    const job = { ...options, dataFolder, shop, setupSeconds: setupSeconds() };
    const report = await runMainJob({ clients, progress, signal }, job);
    const path = join(options.folder, 'report.json');
    await writeReport(path, report);
    progress.note(`\n${formatReport(report)}\nwritten to ${path}\n`);
  } finally {
    closeClients(clients);
  }
}

/** Until a signal comes, which is a good end, or a service ends by itself, which is not. */
async function stayUp(
  { services, failure }: Supervisor,
  { gallery, certs }: LauncherOptions,
  signal: AbortSignal,
): Promise<void> {
  const index = gallery === undefined ? HELD_OUT_INDEXES.unseen : FOLDER_INDEX;
  const addresses = formatAddresses(services, index, certs);
  progress.note(`${addresses}\n${formatConsole(services, certs)}\nCtrl-C stops everything`);
  const ended = AbortSignal.any([signal, failure]);
  // The timer keeps the process alive: nothing else may be pending.
  const timer = setInterval(() => undefined, KEEP_ALIVE_MS);
  if (!ended.aborted) await once(ended, 'abort');
  clearInterval(timer);
  if (failure.aborted) throw abortError(failure);
  progress.note('stopping');
}

async function main(): Promise<number> {
  const signal = abortOnSignals();
  try {
    const options = parseLauncherOptions(
      process.argv.slice(2),
      root,
      process.env['INIT_CWD'] ?? process.cwd(),
    );
    if (options) return await launch(options, signal);
    progress.note(USAGE);
    return EXIT.ok;
  } catch (error) {
    // What stops a job that was told to stop is a consequence, not news.
    const reason = signal.aborted ? abortError(signal) : error;
    console.error(reason instanceof ApplicationError ? reason.message : reason);
    if (signal.aborted) return EXIT.interrupted;
    return error instanceof InvalidInputError ? EXIT.badUsage : EXIT.failed;
  }
}

process.exitCode = await main();
