import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, writeFileAtomically } from '@online-cnclip/foundation';
import { isGoingOn, type RunRecord } from './run-record.ts';

const SUFFIX = '.json';

/** The records of all runs, a file each, so that they outlive the service. */
export class RunStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Every record; a run that was going on when the service went away is `interrupted`. */
  async load(logger: Logger): Promise<RunRecord[]> {
    await mkdir(this.#folder, { recursive: true });
    const files = (await readdir(this.#folder)).filter((file) => file.endsWith(SUFFIX));
    const records: RunRecord[] = [];
    for (const file of files) {
      const path = join(this.#folder, file);
      try {
        const record: RunRecord = JSON.parse(await readFile(path, 'utf8'));
        records.push(isGoingOn(record) ? { ...record, state: 'interrupted' } : record);
      } catch (error) {
        // Files are replaced atomically: a damaged one was edited. The others still count.
        logger.error({ err: error, path }, 'a run record cannot be read; it is left out');
      }
    }
    return records;
  }

  /** A run's name is the name of a folder, so it can be a file's too. */
  async save(record: RunRecord): Promise<void> {
    const path = join(this.#folder, `${record.name}${SUFFIX}`);
    await writeFileAtomically(path, `${JSON.stringify(record, null, 2)}\n`);
  }
}
