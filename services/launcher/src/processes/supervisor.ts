import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import {
  abortError,
  DeadlineExceededError,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';
import { findFreePort, LOOPBACK } from './ports.ts';

/** A service that is run as a process of its own. */
export interface ServiceDefinition {
  readonly name: string;
  /** Its main.ts. */
  readonly entry: string;
  /** Port it listens on when that is free; 0 for any. */
  readonly port: number;
  /** Command line for the port and services that were started before it. */
  readonly argumentsFor: (port: number, addresses: ReadonlyMap<string, string>) => readonly string[];
}

export interface SupervisorOptions {
  /** Folder of one log file per service. */
  readonly logFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Time for a service to listen, and to end after SIGTERM before it is killed. */
  readonly startTimeoutMs?: number;
  readonly stopTimeoutMs?: number;
}

export interface Supervisor {
  /** `127.0.0.1:port` by the service's name. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Aborted, with the reason, when a service ends by itself. */
  readonly failure: AbortSignal;
  /** Asks every service to end, kills those that take too long, and resolves when none is left. */
  stop(): Promise<void>;
}

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logPath: string;
  readonly ended: Promise<unknown>;
}

const START_TIMEOUT_MS = 60_000;
/** Above the services' own drain limit, so that killing is the exception. */
const STOP_TIMEOUT_MS = 20_000;
const POLL_INTERVAL_MS = 100;
const PARENT_WATCH = new URL('./parent-watch.ts', import.meta.url).href;
const LOG_LINES_SHOWN = 15;

/**
 * Starts every service on a port of its own and waits until each listens. What a service writes goes to its log file.
 * The services end with this process, however it ends.
 *
 * @throws UnavailableError with the end of its log when a service ends, DeadlineExceededError when it does not listen
 *   in time; the others are stopped before that.
 */
export async function startServices(
  definitions: readonly ServiceDefinition[],
  options: SupervisorOptions,
  signal: AbortSignal,
): Promise<Supervisor> {
  mkdirSync(options.logFolder, { recursive: true });
  const addresses = new Map<string, string>();
  const running: Running[] = [];
  const failure = new AbortController();
  let stopping = false;
  const stop = async (): Promise<void> => {
    stopping = true;
    await Promise.all(running.map((one) => stopOne(one, options.stopTimeoutMs ?? STOP_TIMEOUT_MS)));
  };
  try {
    const ports = new Set<number>();
    for (const definition of definitions) {
      const port = await findFreePort(definition.port, ports);
      ports.add(port);
      const one = launch(definition, definition.argumentsFor(port, addresses), options);
      addresses.set(definition.name, `${LOOPBACK}:${port}`);
      running.push(one);
      void one.ended.then(() => {
        if (!stopping) failure.abort(endedError(one));
      });
    }
    const waited = AbortSignal.any([signal, failure.signal]);
    await Promise.all(
      [...addresses].map(([name, address]) =>
        waitForListening(name, address, options.startTimeoutMs ?? START_TIMEOUT_MS, waited),
      ),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { addresses, failure: failure.signal, stop };
}

function launch(
  { name, entry }: ServiceDefinition,
  flags: readonly string[],
  { logFolder, environment }: SupervisorOptions,
): Running {
  const logPath = join(logFolder, `${name}.log`);
  const log = createWriteStream(logPath);
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', '--import', PARENT_WATCH, entry, ...flags],
    // Detached: Ctrl-C in a terminal goes to the whole foreground group, and stopping is the launcher's to order.
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...environment } },
  );
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  // The pipe of a child that is gone reports an error, which must not end the launcher.
  child.stdin.on('error', () => undefined);
  child.once('error', (cause) => log.write(`${cause}\n`));
  const ended = once(child, 'close').then(
    () => finished(log.end()),
    () => finished(log.end()),
  );
  return { name, child, logPath, ended };
}

async function waitForListening(
  name: string,
  address: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await accepts(Number(address.split(':')[1])))) {
    throwIfAborted(signal);
    if (Date.now() > deadline)
      throw new DeadlineExceededError(`does not listen on ${address} after ${timeoutMs} ms`, { place: name });
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {
      throw abortError(signal);
    });
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ host: LOOPBACK, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
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
