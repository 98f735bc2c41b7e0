import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../run-soak.ts';
import { atLeast, atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { READERS } from './readers.ts';
import { makeSeeds } from './seeds.ts';

type FilesBounds = { readonly minutes: number; readonly files: number };

/** What the reading process says, a line each. */
export type ReadingReport =
  | { readonly begun: number; readonly kind: string }
  | { readonly done: true }
  | Reading;

interface Reading {
  readonly number: number;
  readonly kind: string;
  readonly bytes: number;
  readonly outcome: 'read' | 'refused' | 'fault';
  /** The most that reading took on top of what the process has. */
  readonly megabytes: number;
  readonly text?: string;
}

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const ENTRY = fileURLToPath(new URL('./reading-process.ts', import.meta.url));

/** Nothing of these sizes takes so long on any machine: what does hangs. */
const HANG_MS = 180_000;

/** A process reads so many and is then replaced: what one left behind does not count against another for ever. */
const FILES_PER_PROCESS = 500;

/** Beyond twice the file: an image of the most pixels that are decoded, and what a reader keeps of pages and lines. */
const ROOM_MB = 256;

const SHOWN_FAULTS = 20;

export const soak = defineSoak<FilesBounds>({
  name: 'files',
  description: 'mutated files of every format, read by a process that may read nothing else',
  bounds: {
    short: { minutes: 5, files: 300 },
    default: { minutes: 30, files: 2_000 },
    long: { minutes: 300, files: 50_000 },
  },
  run: (context) => new FileReading(context).run(),
});

class FileReading {
  readonly #context: SoakContext<FilesBounds>;
  readonly #counts = new Map<string, { read: number; refused: number }>();
  #readings = 0;
  #faults = 0;
  #crashes = 0;
  #hangs = 0;
  /** Beyond twice the file. */
  #mostMegabytes = 0;

  constructor(context: SoakContext<FilesBounds>) {
    this.#context = context;
  }

  async run(): Promise<{ figures: Figure[] }> {
    const { bounds, folder, timeUp, signal } = this.#context;
    const seeds = join(folder, 'seeds');
    await makeSeeds(seeds);
    for (let next = 0; next < bounds.files && !timeUp.aborted && !signal.aborted; )
      next = await this.#readSome(seeds, next, Math.min(FILES_PER_PROCESS, bounds.files - next));
    const refused = [...this.#counts.values()].reduce((sum, count) => sum + count.refused, 0);
    return {
      figures: [
        { name: 'files read', value: this.#readings, unit: '' },
        exactly('kinds read', this.#counts.size, READERS.length),
        exactly('errors that are not ours', this.#faults, 0),
        exactly('crashes', this.#crashes, 0),
        exactly('hangs', this.#hangs, 0),
        atLeast('refused', refused / Math.max(1, this.#readings), 0.25, 'of all'),
        atMost('most memory beyond twice the file', this.#mostMegabytes, ROOM_MB, 'MB'),
        ...[...this.#counts].map(([kind, { read, refused: wrong }]) => ({
          name: `refused ${kind}`,
          value: wrong,
          unit: `of ${read + wrong}`,
        })),
      ],
    };
  }

  /** One process, until it has read them or died. @returns the number of the next file. */
  async #readSome(seeds: string, from: number, count: number): Promise<number> {
    const { children, folder, seed } = this.#context;
    const scratch = makeFolder(folder, 'scratch');
    const args = [...permissions([ROOT, seeds, scratch], scratch), '--expose-gc', ENTRY, seeds, scratch];
    const child = children.spawn(process.execPath, [...args, String(seed), String(from), String(count)], {
      cwd: scratch,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let current = { begun: from, kind: '' };
    let isDone = false;
    let hangs = false;
    const onHang = (): void => {
      hangs = true;
      child.kill('SIGKILL');
    };
    let watchdog = setTimeout(onHang, HANG_MS);
    for await (const line of createInterface(child.stdout as NodeJS.ReadableStream)) {
      clearTimeout(watchdog);
      watchdog = setTimeout(onHang, HANG_MS);
      const report = JSON.parse(line) as ReadingReport;
      if ('begun' in report) current = report;
      else if ('done' in report) isDone = true;
      else this.#note(report);
    }
    clearTimeout(watchdog);
    await children.kill(child);
    if (isDone) return from + count;
    if (hangs) this.#hangs += 1;
    else this.#crashes += 1;
    const end = child.signalCode ?? `status ${child.exitCode}`;
    this.#tell({
      number: current.begun,
      kind: current.kind,
      text: hangs ? 'hangs' : `the process ended by ${end}`,
    });
    return current.begun + 1;
  }

  #note(reading: Reading): void {
    const { kind, outcome, megabytes, bytes } = reading;
    this.#readings += 1;
    const count = this.#counts.get(kind) ?? { read: 0, refused: 0 };
    if (outcome !== 'fault') count[outcome] += 1;
    this.#counts.set(kind, count);
    const beyond = megabytes - (2 * bytes) / 2 ** 20;
    if (beyond > ROOM_MB) this.#tell({ ...reading, text: `takes ${megabytes.toFixed(0)} MB` });
    this.#mostMegabytes = Math.max(this.#mostMegabytes, beyond);
    if (outcome !== 'fault') return;
    this.#faults += 1;
    this.#tell(reading);
  }

  #tell(fault: { readonly number: number; readonly kind: string; readonly text?: string }): void {
    mkdirSync(this.#context.folder, { recursive: true });
    appendFileSync(join(this.#context.folder, 'faults.jsonl'), `${JSON.stringify(fault)}\n`);
    if (this.#faults + this.#crashes + this.#hangs <= SHOWN_FAULTS)
      this.#context.tell(`file ${fault.number}, ${fault.kind}: ${fault.text}`);
  }
}

/** Reads these folders and its own state, writes the scratch folder, starts nothing. Native code is not held back by it. */
const permissions = (readable: readonly string[], scratch: string): string[] => [
  '--permission',
  '--allow-addons',
  '--allow-worker',
  ...[...readable, '/proc/self/', '/proc/cpuinfo', '/etc/os-release'].map(
    (path) => `--allow-fs-read=${path}`,
  ),
  `--allow-fs-write=${scratch}`,
  '--allow-fs-write=/proc/self/clear_refs',
];
