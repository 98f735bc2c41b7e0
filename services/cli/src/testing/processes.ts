// Runs the command line as users do, and services for it to talk to, in processes of their own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

export const BIN = fileURLToPath(new URL('../../bin/cnclip.mjs', import.meta.url));
export const goldens = fileURLToPath(new URL('../../../../test/goldens/', import.meta.url));
const services = fileURLToPath(new URL('../../../', import.meta.url));

export const TINY_MODEL = ['--vision-model', 'ViT-mini-8-48', '--text-model', 'RoBERTa-mini-chinese'];

export const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n');

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of Node, before the script. */
  readonly nodeArguments?: readonly string[];
  readonly script?: string;
}

export function start(
  args: readonly string[],
  { env, nodeArguments = [], script = BIN }: RunOptions = {},
): Running {
  const { DATAPATH: _, DEBUG: __, ...inherited } = process.env;
  const child = spawn(process.execPath, [...nodeArguments, script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...env },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const outcome = output.then(([stdout, stderr, [code, signal]]) => ({ code, signal, stdout, stderr }));
  return { child, outcome };
}

export const cnclip = (args: readonly string[], options?: RunOptions): Promise<Outcome> =>
  start(args, options).outcome;

/** Runs a command that has to succeed. @returns what it printed. */
export async function succeed(args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await cnclip(args, options);
  if (code !== 0) throw new Error(`cnclip ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cnclip-'));
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A data path with the golden data set `tiny`: its split `valid`, also as `train`. */
export function tinyDataPath(): string {
  const folder = temporaryFolder();
  const dataset = join(folder, 'datasets/tiny');
  mkdirSync(dataset, { recursive: true });
  for (const split of ['train', 'valid'])
    for (const file of ['imgs.tsv', 'texts.jsonl'])
      cpSync(join(goldens, 'dataset', `valid_${file}`), join(dataset, `${split}_${file}`));
  return folder;
}

/** Trains the tiny model for some steps, in the data path's experiment `tiny`. */
export const trainTiny = (dataPath: string, steps: number): string[] => [
  ...['train', '--data-path', dataPath, '--dataset', 'tiny', '--name', 'tiny', ...TINY_MODEL],
  ...['--batch-size', '4', '--valid-batch-size', '4', '--context-length', '12', '--num-workers', '0'],
  ...['--max-steps', String(steps), '--log-interval', '1', '--threads', '1'],
];

export const tinyCheckpoint = (dataPath: string): string =>
  join(dataPath, 'experiments/tiny/checkpoints/epoch_latest.pt');

const started: ChildProcess[] = [];

/** Starts a service on any port; it ends with {@link stopServices}. @returns its address. */
export async function startService(name: string, flags: readonly string[]): Promise<string> {
  const all = [
    ...flags,
    '--listen-address',
    '127.0.0.1:0',
    '--metrics-address',
    'off',
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, [join(services, name, 'src/main.ts'), ...all], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return JSON.parse(line).address;
}

export async function stopServices(): Promise<void> {
  const running = started
    .splice(0)
    .filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  await Promise.all(
    running.map((child) => {
      child.kill('SIGKILL');
      return once(child, 'exit');
    }),
  );
}
