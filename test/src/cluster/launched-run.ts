import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@online-cnclip/checkpoint';

export const MAIN = fileURLToPath(new URL('../../../services/cli/src/main.ts', import.meta.url));
const DATA = fileURLToPath(new URL('../../goldens/dataset/lmdb/valid', import.meta.url));

/** Long enough for a busy machine to start a process again; a test that hangs ends by it. */
const WAIT_SECONDS = '120';

export interface Run {
  readonly name: string;
  readonly logs: string;
  readonly steps: number;
  /** Pairs of each replica. */
  readonly batchSize: number;
  readonly options?: readonly string[];
}

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const trainArguments = ({ name, logs, steps, batchSize, options = [] }: Run): string[] => [
  ...['train', '--train-data', DATA, '--logs', logs, '--name', name, '--max-steps', String(steps)],
  ...['--batch-size', String(batchSize), '--context-length', '12', '--log-interval', '1', '--warmup', '3'],
  ...['--vision-model', 'ViT-mini-8-48', '--text-model', 'RoBERTa-mini-chinese'],
  ...['--num-workers', '0', '--threads', '1', '--save-epoch-frequency', '-1', ...options],
];

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
}

/** A process of the command line, whose lines can be waited for. */
export class CommandProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #outcome: Promise<Outcome>;
  #onLine: (line: string) => void = () => {};

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const waits = { CNCLIP_GATHER_TIMEOUT: WAIT_SECONDS, CNCLIP_COLLECTIVE_TIMEOUT: WAIT_SECONDS };
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...waits, ...environment },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        this.#onLine(line);
      });
    this.#outcome = once(child, 'close').then(([code, signal]) => ({ code, signal, lines: this.#lines }));
    after(() => child.kill('SIGKILL'));
  }

  get outcome(): Promise<Outcome> {
    return this.#outcome;
  }

  onLine(listener: (line: string) => void): void {
    this.#onLine = listener;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills one of the processes that this one has started, as the kernel does for memory. @returns whether there was one. */
  killReplica(rank: number): boolean {
    const replicas = childrenOf(this.#child.pid as number);
    const victim = replicas.find((pid) => environmentOf(pid).includes(`RANK=${rank}`));
    if (victim === undefined) return false;
    process.kill(victim, 'SIGKILL');
    return true;
  }
}

export const launch = (replicas: number, restarts: number, run: Run): CommandProcess =>
  new CommandProcess([
    ...['launch', '--nproc', String(replicas), '--max-restarts', String(restarts), '--'],
    ...trainArguments(run),
  ]);

/** Bytes of every parameter and of the optimizer's state, as saved last. */
export async function savedState({
  logs,
  name,
}: Pick<Run, 'logs' | 'name'>): Promise<Map<string, Float32Array>> {
  const { parameters, optimizer, step } = await readCheckpoint(
    join(logs, name, 'checkpoints/epoch_latest.pt'),
  );
  const state = new Map<string, Float32Array>([['step', Float32Array.of(step ?? -1)]]);
  for (const [kind, arrays] of [
    ['parameter', parameters],
    ['exp_avg', optimizer?.expAvg],
    ['exp_avg_sq', optimizer?.expAvgSq],
  ] as const)
    for (const [key, array] of arrays ?? []) state.set(`${kind} ${key}`, array.data as Float32Array);
  return state;
}

/** Losses by step, of the run's own log. A step that was reported twice has to have had the same loss. */
export function lossesOf({ logs, name }: Pick<Run, 'logs' | 'name'>): Map<number, string> {
  const losses = new Map<number, string>();
  const folder = join(logs, name);
  for (const file of readdirSync(folder).filter((one) => one.startsWith('out_')))
    for (const [, step, loss] of readFileSync(join(folder, file), 'utf8').matchAll(
      /Global Steps: (\d+)\/.* Loss: ([\d.]+) /g,
    )) {
      const earlier = losses.get(Number(step));
      if (earlier !== undefined && earlier !== loss)
        throw new Error(`step ${step} had the losses ${earlier} and ${loss}`);
      losses.set(Number(step), loss as string);
    }
  return losses;
}

export function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // It has just ended.
  }
}
