import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Subject } from './subjects.ts';

export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly peak_gb: number;
  readonly peer?: string;
  readonly peer_value?: number;
  readonly peer_peak_gb?: number;
  readonly ratio?: number;
}

/** Threads of both sides. */
const THREADS = 2;

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * A process that measures on request: for each line "round" it does its work once and prints `{"value"}`, at the end of
 * its input `{"peak_gb"}`.
 */
class MeasuringProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[], folder: string) {
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        BENCH_THREADS: String(THREADS),
        BENCH_FOLDER: folder,
        OMP_NUM_THREADS: String(THREADS),
      },
    });
    if (!this.#child.stdout) throw new Error('the child has no standard output');
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async round(): Promise<number> {
    this.#child.stdin?.write('round\n');
    return (await this.#answer('value')) as number;
  }

  async end(): Promise<number> {
    this.#child.stdin?.end();
    const exited = once(this.#child, 'exit');
    const peak = await this.#answer('peak_gb');
    await exited;
    return peak;
  }

  async #answer(key: string): Promise<number> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error(`the measuring process ended without its ${key}`);
      if (!value.startsWith('{')) continue;
      const answer = JSON.parse(value) as Record<string, number>;
      if (typeof answer[key] === 'number') return answer[key];
    }
  }
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

/** Runs a subject and its peer in turn: A B A B. The first round of each warms up and does not count. */
export async function measure(
  subject: Subject,
  python: string | null,
  rounds: number,
  folder: string,
): Promise<Measurement> {
  const [module, ...args] = subject.run;
  const ours = new MeasuringProcess(process.execPath, [fileOf(`subjects/${module}.ts`), ...args], folder);
  const peer =
    python && subject.peer
      ? new MeasuringProcess(python, [fileOf('peers/peer.py'), subject.peer.run], folder)
      : null;
  const values: number[] = [];
  const peerValues: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const value = await ours.round();
    const peerValue = await peer?.round();
    if (round === 0) continue;
    values.push(value);
    if (peerValue !== undefined) peerValues.push(peerValue);
  }
  const peak = await ours.end();
  const base = { name: subject.name, value: median(values), unit: subject.unit, peak_gb: peak };
  if (!peer || !subject.peer) return base;
  const ratios = values.map((value, i) => value / (peerValues[i] as number));
  return {
    ...base,
    peer: subject.peer.label,
    peer_value: median(peerValues),
    peer_peak_gb: await peer.end(),
    ratio: median(ratios),
  };
}
