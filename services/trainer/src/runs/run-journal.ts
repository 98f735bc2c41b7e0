import { appendFile, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '@online-cnclip/foundation';
import type { RunUpdate } from './watch-feed.ts';

const SUFFIX = '.jsonl';

/** A hundred thousand steps and more. A journal that is longer loses every second of its steps. */
export const MAX_JOURNAL_BYTES = 32 * 1024 * 1024;

/** What happened in a run; its states are in its record. */
export type RunEvent = Exclude<RunUpdate, { kind: 'record' }>;

const isStep = ({ kind }: RunEvent): boolean => kind === 'step' || kind === 'online-step';

/** What happened in each run, a file of JSON lines each, so that its curves outlive whoever watched it. */
export class RunJournal {
  readonly #folder: string;
  readonly #maxBytes: number;

  constructor(folder: string, maxBytes = MAX_JOURNAL_BYTES) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  /** @throws what writing to the disk throws. */
  async append(run: string, events: readonly RunEvent[]): Promise<void> {
    const path = this.#pathOf(run);
    await mkdir(this.#folder, { recursive: true });
    await appendFile(path, linesOf(events));
    if ((await stat(path)).size <= this.#maxBytes) return;
    const kept = (await this.read(run)).filter((event, i) => !isStep(event) || i % 2 === 0);
    await writeFileAtomically(path, linesOf(kept));
  }

  /**
   * By time. What a resumed run did again, or a run of the same name that began anew, is there as it was done last. Of steps
   * there are `maxSteps` at most, evenly.
   */
  async read(run: string, maxSteps = Number.POSITIVE_INFINITY): Promise<RunEvent[]> {
    let events: RunEvent[] = [];
    for (const line of await this.#linesOf(run)) {
      const event = eventOf(line);
      if (!event) continue;
      if (isStep(event) && stepOf(events.findLast(isStep)) >= stepOf(event))
        events = events.filter((earlier) => stepOf(earlier) < stepOf(event));
      events.push(event);
    }
    const every = Math.max(1, Math.ceil(events.filter(isStep).length / maxSteps));
    let step = 0;
    return events.filter((event) => !isStep(event) || step++ % every === 0);
  }

  async #linesOf(run: string): Promise<string[]> {
    try {
      return (await readFile(this.#pathOf(run), 'utf8')).split('\n');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** A run's name is the name of a folder, so it can be a file's too. */
  readonly #pathOf = (run: string): string => join(this.#folder, `${run}${SUFFIX}`);
}

const linesOf = (events: readonly RunEvent[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join('');

/** Undefined for a line that was cut when the process was killed. */
function eventOf(line: string): RunEvent | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const stepOf = (event: RunEvent | undefined): number => (event && 'step' in event ? event.step : -1);
