// Reads mutated files one after another and says what became of each: `reading-process.ts SEEDS SCRATCH SEED FROM COUNT`.
// Node's permissions keep it from every file but the repository's and its own; the reading code that asks for another is
// told so by an error that is none of ours.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationError } from '@online-cnclip/foundation';
import { Chance } from '../chance.ts';
import { mutate } from './mutate.ts';
import { layOut, READERS } from './readers.ts';
import type { ReadingReport } from './soak.ts';

const [seeds = '', scratch = '', seed = '0', from = '0', count = '0'] = process.argv.slice(2);

/** Also of the whole file, now and then: the seeds hold bombs. */
const UNCHANGED_SHARE = 0.05;

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});

const say = (report: ReadingReport): boolean => process.stdout.write(`${JSON.stringify(report)}\n`);

/** The most that was resident since the last call of {@link forgetPeak}. */
const peakMegabytes = (): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1_024;

const forgetPeak = (): void => writeFileSync('/proc/self/clear_refs', '5');

/** What this process has without any file. */
let ownMegabytes = 0;

async function readOne(number: number): Promise<void> {
  const chance = new Chance(Number(seed), number);
  const reader = READERS[number % READERS.length] as (typeof READERS)[number];
  const original = readFileSync(join(seeds, chance.one(reader.seeds)));
  const bytes = chance.happens(UNCHANGED_SHARE) ? original : mutate(original, chance);
  const folder = join(scratch, `case-${number % 2}`);
  const path = layOut(reader, bytes, seeds, folder);
  say({ begun: number, kind: reader.kind });
  collect();
  forgetPeak();
  const before = process.memoryUsage.rss() / 2 ** 20;
  const report = { number, kind: reader.kind, bytes: bytes.length };
  const megabytes = () => Math.max(0, peakMegabytes() - Math.max(ownMegabytes, before));
  try {
    await reader.read(path, folder);
    say({ ...report, outcome: 'read', megabytes: megabytes() });
  } catch (error) {
    const isOurs = error instanceof ApplicationError;
    const text = isOurs ? error.message : String((error as Error)?.stack ?? error);
    say({ ...report, outcome: isOurs ? 'refused' : 'fault', megabytes: megabytes(), text });
  }
}

collect();
ownMegabytes = process.memoryUsage.rss() / 2 ** 20;
for (let number = Number(from); number < Number(from) + Number(count); number += 1) await readOne(number);
if (existsSync('canary')) throw new Error('code of a file has run');
say({ done: true });
process.exit(0);
