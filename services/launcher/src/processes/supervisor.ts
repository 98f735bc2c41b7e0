import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { abortError, DeadlineExceededError, UnavailableError } from '@online-cnclip/foundation';
import { findFreePort, LOOPBACK } from './ports.ts';

/** A service that is run as a process of its own. */
export interface ServiceDefinition {
  readonly name: string;
  /** Its main.ts. */
  readonly entry: string;
  /** Port it listens on when that is free; 0 for any. */
  readonly port: number;
  /** Command line, given the address to listen on and those of the services before it in the list. */
  readonly argumentsFor: (address: string, before: ReadonlyMap<string, string>) => readonly string[];
}

export interface SupervisorOptions {
  /** Folder of one log file per service. */
  readonly logFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Time for a service to say that it is ready, and to end after SIGTERM before it is killed. */
  readonly startTimeoutMs?: number;
  readonly stopTimeoutMs?: number;
}

export interface Supervisor {
  /** By the service's name, in the order of the list. */
  readonly services: ReadonlyMap<string, ReadyService>;
  /** Aborted, with the reason, when a service ends by itself. */
  readonly failure: AbortSignal;
  /** Asks every service to end, kills those that take too long, and resolves when none is left. */
  stop(): Promise<void>;
}

/** What a service says of itself in its one line on standard output. */
export interface ReadyService {
  readonly address: string;
  /** Address of its Prometheus metrics; null where they are off. */
  readonly metrics: string | null;
}

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logPath: string;
  readonly ready: Promise<ReadyService>;
  readonly ended: Promise<unknown>;
}

const START_TIMEOUT_MS = 60_000;
/** Above the services' own drain limit, so that killing is the exception. */
const STOP_TIMEOUT_MS = 25_000;
const PARENT_WATCH = new URL('./parent-watch.ts', import.meta.url).href;
const LOG_LINES_SHOWN = 15;
/** glibc keeps what is freed in an arena for each thread; with two of them a swap of models leaves next to nothing. */
const FEW_ARENAS = { MALLOC_ARENA_MAX: '2' };

/**
 * Starts every service on a port of its own and waits until each says that it is ready. What a service writes goes to its log file.
 * The services end with this process, however it ends.
 *
 * @throws UnavailableError with the end of its log when a service ends, DeadlineExceededError when it is not
 *   ready in time; the others are stopped before that.
 */
export async function startServices(
  definitions: readonly ServiceDefinition[],
  options: SupervisorOptions,
  signal: AbortSignal,
): Promise<Supervisor> {
  mkdirSync(options.logFolder, { recursive: true });
  const running: Running[] = [];
  const failure = new AbortController();
  let stopping = false;
  const stop = async (): Promise<void> => {
    stopping = true;
    await Promise.all(running.map((one) => stopOne(one, options.stopTimeoutMs ?? STOP_TIMEOUT_MS)));
  };
  try {
    const addresses = new Map<string, string>();
    const ports = new Set<number>();
    for (const definition of definitions) {
      const port = await findFreePort(definition.port, ports);
      ports.add(port);
      const address = `${LOOPBACK}:${port}`;
      const one = launch(definition, definition.argumentsFor(address, addresses), options);
      addresses.set(definition.name, address);
      running.push(one);
      void one.ended.then(() => {
        if (!stopping) failure.abort(endedError(one));
      });
    }
    const limited = AbortSignal.any([signal, failure.signal]);
    const timeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS;
    const ready = await Promise.all(running.map((one) => waitUntilReady(one, timeoutMs, limited)));
    const services = new Map(running.map(({ name }, i) => [name, ready[i] as ReadyService]));
    return { services, failure: failure.signal, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function launch(
  { name, entry }: ServiceDefinition,
  flags: readonly string[],
  { logFolder, environment }: SupervisorOptions,
): Running {
  const logPath = join(logFolder, `${name}.log`);
  const log = openSync(logPath, 'w');
  const child = spawn(process.execPath, ['--enable-source-maps', '--import', PARENT_WATCH, entry, ...flags], {
    // Errors and logs go straight to the file: a pipe would break, and hang its writer, when the launcher is gone.
    stdio: ['pipe', 'pipe', log],
    // Ctrl-C in a terminal goes to the whole foreground group, and stopping is the launcher's to order.
    detached: true,
    env: { ...FEW_ARENAS, ...environment },
  });
  // The pipe of a child that is gone reports an error, which must not end the launcher.
  child.stdin?.on('error', () => undefined);
  child.once('error', (cause) => writeSync(log, `${cause}\n`));
  const ready = new Promise<ReadyService>((resolve) => {
    createInterface({ input: child.stdout as Readable }).on('line', (line) => {
      writeSync(log, `${line}\n`);
      const said = parseReadyLine(line, name);
      if (said) resolve(said);
    });
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      closeSync(log);
      resolve();
    });
  });
  return { name, child, logPath, ready, ended };
}

/** `{"ready":"encoder","address":"127.0.0.1:50051","metrics":null}` */
function parseReadyLine(line: string, name: string): ReadyService | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const said = JSON.parse(line);
    if (said.ready !== name || typeof said.address !== 'string') return undefined;
    return { address: said.address, metrics: said.metrics ?? null };
  } catch {
    return undefined;
  }
}

async function waitUntilReady(
  { name, logPath, ready }: Running,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ReadyService> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(abortError(signal));
  const timer = setTimeout(
    () =>
      reject(new DeadlineExceededError(`not ready after ${timeoutMs} ms, see ${logPath}`, { place: name })),
    timeoutMs,
  );
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([ready, interrupted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

async function stopOne({ child, ended }: Running, timeoutMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await ended;
  clearTimeout(timer);
}

function endedError({ name, logPath, child }: Running): UnavailableError {
  const how = child.signalCode ?? `status ${child.exitCode}`;
  const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
  return new UnavailableError(`ended unexpectedly (${how}); the end of ${logPath}:\n${lines.join('\n')}`, {
    place: name,
  });
}
