import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServiceName, type ServiceProcess, SMALL_HEAP } from '../children.ts';
import { descendants, openHandles, residentMegabytes } from '../process-state.ts';
import { makeFolder } from '../run-soak.ts';
import { atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { copyTinyDataset, TINY_TOWERS, writeTinyCheckpoint } from '../tiny-data.ts';
import { Traffic } from './traffic.ts';

type MemoryBounds = { readonly minutes: number; readonly rounds: number };

/** Memory is looked at after this share of the rounds or of the time, whatever comes first. */
const WARM_UP_SHARE = 0.3;

const MAX_GROWTH_MB = 64;

/** Fewer rounds warm nothing up: the short form only tells of memory. */
const ROUNDS_TO_JUDGE = 100;

/** Of samples of which the middle one counts: a heap is at its largest just before it is collected. */
const SAMPLES = 9;

/** Time that what is closing has to be closed. */
const SETTLE_MS = 30_000;

/** Database pages and the like that a service keeps open; more than at the end of the warm-up is a leak. */
const isFile = (handle: string): boolean => handle.startsWith('/') && !handle.startsWith('/dev/');

export const soak = defineSoak<MemoryBounds>({
  name: 'memory',
  description:
    'mixed traffic with swaps of models and rebuilt indexes: memory, processes, handles, temporary files',
  bounds: {
    short: { minutes: 5, rounds: 4 },
    default: { minutes: 20, rounds: 100_000 },
    long: { minutes: 480, rounds: 1_000_000 },
  },
  run: (context) => new MemorySoak(context).run(),
});

interface Watched {
  readonly name: ServiceName;
  readonly process: ServiceProcess;
  readonly samples: number[];
  memoryBefore: number;
  filesBefore: readonly string[];
}

class MemorySoak {
  readonly #context: SoakContext<MemoryBounds>;
  readonly #temporary: string;
  readonly #data: string;
  #services: Watched[] = [];

  constructor(context: SoakContext<MemoryBounds>) {
    this.#context = context;
    this.#temporary = makeFolder(context.folder, 'tmp');
    this.#data = makeFolder(context.folder, 'data');
  }

  async run(): Promise<{ figures: Figure[] }> {
    const addresses = await this.#start();
    const traffic = new Traffic(addresses);
    try {
      await traffic.untilServing();
      const rounds = await this.#rounds(traffic);
      await this.#settle();
      const figures = [
        { name: 'rounds', value: rounds, unit: '' },
        ...this.#services.flatMap((service) => this.#figuresOf(service, rounds)),
        exactly('temporary files left', this.#temporaryFiles().length, 0),
      ];
      for (const file of this.#temporaryFiles()) this.#context.tell(`left: ${file}`);
      traffic.close();
      return { figures: [...figures, ...(await this.#end())] };
    } finally {
      traffic.close();
    }
  }

  async #start(): Promise<{ encoder: string; ranker: string; trainer: string }> {
    for (const seed of [1, 2]) await writeTinyCheckpoint(join(this.#data, `epoch${seed}.pt`), seed);
    copyTinyDataset(this.#data, 'tiny', ['train', 'valid']);
    copyTinyDataset(this.#data, 'trained', ['train']);
    const { visionModel, textModel } = TINY_TOWERS;
    const model = ['--vision-model', visionModel, '--text-model', textModel, '--context-length', '12'];
    const encoder = await this.#startService('encoder', [
      ...['--checkpoint', 'epoch1.pt', '--compute-threads', '1', '--decode-threads', '1'],
      ...model,
    ]);
    const ranker = await this.#startService('ranker', ['--encoder-address', encoder]);
    const trainer = await this.#startService('trainer', ['--threads', '1']);
    return { encoder, ranker, trainer };
  }

  async #startService(name: ServiceName, flags: readonly string[]): Promise<string> {
    const { children, folder } = this.#context;
    const process = await children.startService(name, {
      flags: ['--data-folder', this.#data, ...flags],
      environment: { ...SMALL_HEAP, TMPDIR: this.#temporary },
      logPath: join(folder, `${name}.log`),
    });
    this.#services.push({ name, process, samples: [], memoryBefore: 0, filesBefore: [] });
    return process.address;
  }

  async #rounds(traffic: Traffic): Promise<number> {
    const { bounds, minutes, timeUp, signal } = this.#context;
    const startedAt = performance.now();
    const progress = (done: number) =>
      Math.max(done / bounds.rounds, (performance.now() - startedAt) / (minutes * 60_000));
    let isWarm = false;
    let done = 0;
    for (; done < bounds.rounds && !timeUp.aborted && !signal.aborted; done += 1) {
      await traffic.round(done + 1);
      for (const { samples, process } of this.#services) samples.push(residentMegabytes(process.pid));
      if (isWarm || progress(done + 1) < WARM_UP_SHARE) continue;
      isWarm = true;
      for (const service of this.#services) {
        service.memoryBefore = latest(service.samples);
        service.filesBefore = openHandles(service.process.pid).filter(isFile);
      }
      this.#context.tell(`warm after ${done + 1} rounds`);
    }
    return done;
  }

  #figuresOf({ name, process, samples, memoryBefore, filesBefore }: Watched, rounds: number): Figure[] {
    const growth = latest(samples) - memoryBefore;
    const memory = `memory that ${name} grew by after the warm-up`;
    const files = openHandles(process.pid).filter(isFile);
    const more = Math.max(0, files.length - filesBefore.length);
    if (more > 0) this.#context.tell(`${name} has open: ${files.join(' ')}; had: ${filesBefore.join(' ')}`);
    return [
      rounds >= ROUNDS_TO_JUDGE
        ? atMost(memory, growth, MAX_GROWTH_MB, 'MB')
        : { name: memory, value: growth, unit: 'MB' },
      { name: `memory of ${name} at the end`, value: latest(samples), unit: 'MB' },
      exactly(`files that ${name} has open beyond those after the warm-up`, more, 0),
      exactly(
        `removed files that ${name} has open`,
        files.filter((path) => / \(deleted\)$/.test(path)).length,
        0,
      ),
      exactly(`processes that ${name} has left`, descendants(process.pid).length, 0),
    ];
  }

  /** Files are closed and processes end a moment after the answer. */
  async #settle(): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    const isSettled = (): boolean =>
      this.#services.every(({ process, filesBefore }) => {
        const files = openHandles(process.pid).filter(isFile);
        return files.length <= filesBefore.length && descendants(process.pid).length === 0;
      }) && this.#temporaryFiles().length === 0;
    while (!isSettled() && performance.now() < deadline) await sleep(100);
  }

  /** In the folder for them, and beside what they would have replaced. */
  #temporaryFiles(): string[] {
    const halfWritten = readdirSync(this.#data, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /\.tmp$|\.building-|\.replaced-/.test(path),
    );
    return [...readdirSync(this.#temporary), ...halfWritten];
  }

  /** In order, by SIGTERM. */
  async #end(): Promise<Figure[]> {
    let ended = 0;
    for (const { process } of this.#services.reverse()) if ((await process.terminate()) === 0) ended += 1;
    const alive = this.#services.filter(({ process }) => existsSync(`/proc/${process.pid}`));
    return [
      exactly('services that ended in order', ended, this.#services.length),
      exactly('processes left after the end', alive.length, 0),
      exactly('temporary files left after the end', this.#temporaryFiles().length, 0),
    ];
  }
}

/** The middle one of the latest. */
function latest(samples: readonly number[]): number {
  const last = samples.slice(-SAMPLES).sort((a, b) => a - b);
  return last[last.length >> 1] ?? 0;
}
