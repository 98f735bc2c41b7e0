import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type ServiceName = 'encoder' | 'ranker' | 'trainer' | 'crawler' | 'console' | 'fixture-shop';

export interface ServiceOptions {
  readonly flags?: readonly string[];
  /** On top of this process's own. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Takes the service's log. */
  readonly logPath: string;
}

export interface ServiceProcess {
  readonly address: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Its first line: `{ address, metricsAddress, ... }`. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** By SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** By SIGTERM. @returns its exit status; null when a signal ended it. */
  terminate(): Promise<number | null>;
}

/**
 * As in a small container, for soaks that look at memory: a heap with much room is only collected late, and what grows is
 * not what is kept.
 */
export const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=256 --max-semi-space-size=8' };

/** As the images and the launcher have it. */
const FEW_ARENAS = { MALLOC_ARENA_MAX: '2' };

/** Processes that a soak starts, each in a group of its own, so that none outlives the soak, nor its own children. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  readonly #killAll = (): void => {
    for (const child of this.#running) killGroup(child);
  };

  constructor() {
    process.on('exit', this.#killAll);
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn(command, args, { ...options, detached: true });
    this.#running.add(child);
    return child;
  }

  /** A service of the repository on a free port of loopback. Resolves when it listens. */
  async startService(name: ServiceName, options: ServiceOptions): Promise<ServiceProcess> {
    const main = fileURLToPath(new URL(`../../../services/${name}/src/main.ts`, import.meta.url));
    const log = openSync(options.logPath, 'a');
    const child = this.spawn(
      process.execPath,
      [main, '--listen-address', '127.0.0.1:0', '--metrics-address', 'off', ...(options.flags ?? [])],
      { stdio: ['ignore', 'pipe', log], env: { ...FEW_ARENAS, ...process.env, ...options.environment } },
    );
    closeSync(log);
    const line = await Promise.race([firstLineOf(child), endOf(child, `${name} (${options.logPath})`)]);
    const ready = JSON.parse(line);
    return {
      address: ready.address,
      pid: child.pid as number,
      child,
      ready,
      kill: () => this.kill(child),
      terminate: async () => {
        const ended = exitOf(child);
        child.kill('SIGTERM');
        await ended;
        return child.exitCode;
      },
    };
  }

  /** The process and what it started. */
  async kill(child: ChildProcess): Promise<void> {
    const ended = exitOf(child);
    killGroup(child);
    await ended;
    this.#running.delete(child);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.kill(child)));
    process.off('exit', this.#killAll);
  }
}

const hasEnded = ({ exitCode, signalCode, pid }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null || pid === undefined;

async function exitOf(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, 'exit');
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}

async function firstLineOf({ stdout }: ChildProcess): Promise<string> {
  if (!stdout) throw new Error('no output');
  const [line] = (await once(createInterface(stdout), 'line')) as [string];
  return line;
}

async function endOf(child: ChildProcess, name: string): Promise<never> {
  await once(child, 'exit');
  throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode} before it listened`);
}
