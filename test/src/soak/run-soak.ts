import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { throwIfAborted } from '@online-cnclip/foundation';
import { Children } from './children.ts';
import type { Bounds, Figure, Soak } from './soak.ts';

/** Beyond its minutes a soak starts and ends services and looks at what is left; a soak that takes longer hangs. */
const GRACE_MINUTES = 10;

const MINUTE_MS = 60_000;

export interface Hardware {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gb: number;
  readonly node: string;
  /** Of the last minute before the soak. */
  readonly load_at_start: number;
}

export interface SoakReport {
  readonly name: string;
  readonly date: string;
  readonly hardware: Hardware;
  readonly bounds: Bounds;
  readonly seed: number;
  readonly seconds: number;
  readonly figures: readonly Figure[];
}

export interface RunOptions<B extends Bounds> {
  readonly bounds: B;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly tell?: (line: string) => void;
}

export const missed = ({ figures }: SoakReport): Figure[] => figures.filter(({ met }) => met === false);

/** Runs a soak within its bounds, ends the processes that it started, and keeps its folder when a target was missed. */
export async function runSoak<B extends Bounds>(soak: Soak<B>, options: RunOptions<B>): Promise<SoakReport> {
  const { bounds, seed = Date.now() % 1_000_000_000, tell = () => {} } = options;
  const hardware = describeHardware();
  const date = new Date().toISOString();
  const folder = mkdtempSync(join(tmpdir(), `soak-${soak.name}-`));
  const hang = AbortSignal.timeout((bounds.minutes + GRACE_MINUTES) * MINUTE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, hang]) : hang;
  const timeUp = AbortSignal.timeout(bounds.minutes * MINUTE_MS);
  const children = new Children();
  const startedAt = performance.now();
  tell(`seed ${seed}, data and logs in ${folder}`);
  try {
    const context = { bounds, minutes: bounds.minutes, seed, timeUp, signal, folder, children, tell };
    const { figures } = await Promise.race([soak.run(context), rejectWhenAborted(signal)]);
    const seconds = (performance.now() - startedAt) / 1_000;
    const report = { name: soak.name, date, hardware, bounds, seed, seconds, figures };
    if (missed(report).length === 0) rmSync(folder, { recursive: true, force: true });
    return report;
  } finally {
    await children.close();
  }
}

/** A fresh folder within the soak's own. */
export function makeFolder(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function describeHardware(): Hardware {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 1e8) / 10,
    node: process.version,
    load_at_start: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => {
      try {
        throwIfAborted(signal);
      } catch (error) {
        reject(error);
      }
    };
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
  });
}
