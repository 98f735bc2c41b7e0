import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { EXIT } from './exit-codes.ts';

/** Time to finish a step and save once asked to stop. */
const STOP_TIMEOUT_MS = 120_000;

export interface ReplicaProcessesOptions {
  readonly worldSize: number;
  /** Of all replicas together. */
  readonly maxRestarts: number;
  /** Asks all to stop. */
  readonly signal: AbortSignal;
  readonly start: (rank: number) => ChildProcess;
  /** A line of a replica's standard output. */
  readonly print: (line: string) => void;
  /** A line of its standard error, or about it. */
  readonly note: (line: string) => void;
  readonly stopTimeoutMs?: number;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The processes of a run on this machine: started together, ended together. */
export class ReplicaProcesses {
  readonly #options: ReplicaProcessesOptions;
  readonly #running = new Map<number, ChildProcess>();
  #restarts = 0;
  #isStopping = false;
  #hasFinished = false;
  #exitCode: number = EXIT.ok;

  constructor(options: ReplicaProcessesOptions) {
    this.#options = options;
  }

  /** @returns the exit status: of the first replica that failed, as a shell would have it. */
  async run(): Promise<number> {
    const { worldSize, signal } = this.#options;
    const onAbort = () => this.#stop();
    signal.addEventListener('abort', onAbort);
    try {
      await Promise.all(Array.from({ length: worldSize }, (_, rank) => this.#keep(rank)));
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return this.#exitCode;
  }

  /** Starts a replica, and starts it again while that is allowed. */
  async #keep(rank: number): Promise<void> {
    const { note, maxRestarts } = this.#options;
    while (!this.#isStopping) {
      const ending = await this.#runOnce(rank);
      if (ending.code === EXIT.ok) {
        this.#hasFinished = true;
        return;
      }
      if (this.#isStopping) return;
      const how = ending.signal ?? `status ${ending.code}`;
      // Replicas finish together: what ends one after that takes nothing back.
      if (!this.#hasFinished && this.#restarts < maxRestarts) {
        this.#restarts++;
        note(`replica ${rank} ended by ${how}: starting it again (${this.#restarts} of ${maxRestarts})`);
        continue;
      }
      note(`replica ${rank} ended by ${how}: ending all`);
      this.#exitCode = exitCodeOf(ending);
      this.#stop();
    }
  }

  async #runOnce(rank: number): Promise<Ending> {
    const { start, print, note } = this.#options;
    const child = start(rank);
    this.#running.set(rank, child);
    const prefix = `[${rank}] `;
    for (const [stream, write] of [
      [child.stdout, print],
      [child.stderr, note],
    ] as const)
      if (stream) createInterface({ input: stream }).on('line', (line) => write(prefix + line));
    const { promise, resolve } = Promise.withResolvers<Ending>();
    child.once('error', (error) => {
      note(`${prefix}${error.message}`);
      resolve({ code: EXIT.failed, signal: null });
    });
    // After its last line.
    child.once('close', (code, signal) => resolve({ code, signal }));
    const ending = await promise;
    this.#running.delete(rank);
    return ending;
  }

  /** SIGTERM has a replica finish its step and save. */
  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const child of this.#running.values()) child.kill('SIGTERM');
    const timer = setTimeout(() => {
      for (const child of this.#running.values()) child.kill('SIGKILL');
    }, this.#options.stopTimeoutMs ?? STOP_TIMEOUT_MS);
    timer.unref();
  }
}

const exitCodeOf = ({ code, signal }: Ending): number =>
  signal === null ? (code ?? EXIT.failed) : 128 + constants.signals[signal];
