import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ExactEngine } from '@online-cnclip/embedding-index';
import { Chance } from '../../soak/chance.ts';
import type { Children } from '../../soak/children.ts';
import { DIMENSION, ExpectedItems, MARKER } from './changes.ts';

export interface KillOptions {
  /** Of the index; empty at first. */
  readonly folder: string;
  readonly seed: number;
  readonly kills: number;
  readonly children: Children;
  readonly signal?: AbortSignal;
}

/** What was found after the kills. Anything but counts is a fault of the index. */
export interface KillReport {
  readonly kills: number;
  readonly acknowledged: number;
  /** Changes that were acknowledged and were not there. */
  readonly lost: number;
  /** Items that were not as the last change left them, items that were missing or too many. */
  readonly wrong: number;
}

/** Acknowledged changes before a kill, at most; a compaction comes every dozen. */
const MAX_CHANGES = 40;

/** A kill comes so long after the last of them, at most: writing, syncing, applying, compacting take their turns in it. */
const MAX_DELAY_MS = 6;

const program = fileURLToPath(new URL('./changing-process.ts', import.meta.url));

/** Kills a process that changes an index, again and again, and looks at what the file holds after each kill. */
export async function killChanges({
  folder,
  seed,
  kills,
  children,
  signal,
}: KillOptions): Promise<KillReport> {
  const expected = new ExpectedItems(seed);
  const report = { kills: 0, acknowledged: 0, lost: 0, wrong: 0 };
  for (; report.kills < kills && !signal?.aborted; report.kills++) {
    const chance = new Chance(seed, report.kills);
    const acknowledged = await changeAndKill(folder, seed, chance, children);
    const found = await inspect(folder, expected, acknowledged);
    report.acknowledged = Math.max(report.acknowledged, acknowledged + 1);
    report.lost += found.lost;
    report.wrong += found.wrong;
  }
  return report;
}

/** @returns number of the last change that was acknowledged; -1 for none. */
async function changeAndKill(
  folder: string,
  seed: number,
  chance: Chance,
  children: Children,
): Promise<number> {
  const child = children.spawn(process.execPath, [program, folder, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('the child has no standard output');
  const lines = createInterface(child.stdout);
  let wanted = chance.below(MAX_CHANGES);
  let last = -1;
  const enough = new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      last = Math.max(last, Number(line));
      if (wanted-- <= 0) resolve();
    });
    child.once('exit', (code) => reject(new Error(`the changing process ended by itself: ${code}`)));
  });
  // What was acknowledged between the decision and the kill is still in the pipe.
  const read = once(lines, 'close');
  await enough;
  await sleep(chance.below(MAX_DELAY_MS));
  await children.kill(child);
  await read;
  return last;
}

async function inspect(
  folder: string,
  expected: ExpectedItems,
  acknowledged: number,
): Promise<{ readonly lost: number; readonly wrong: number }> {
  const engine = await ExactEngine.open({ folder, threads: 1 });
  try {
    const [index] = await engine.list();
    if (!index) return { lost: acknowledged + 1, wrong: 0 };
    const [marker] = await index.attributesOf(BigInt64Array.of(MARKER));
    const end = marker === undefined ? 0 : Number(marker.change) + 1;
    expected.advanceTo(end);
    const wanted = [...expected.items];
    const ids = BigInt64Array.from(wanted, ([id]) => id);
    const attributes = await index.attributesOf(ids);
    const { ids: there, vectors } = await index.vectorsOf(ids);
    const isRight = wanted.map(([id, { change, vector }], i) => {
      const found = vectors.subarray(i * DIMENSION, (i + 1) * DIMENSION);
      const isSame = there[i] === id && vector.every((value, d) => value === found[d]);
      return isSame && attributes[i]?.change === BigInt(change);
    });
    const wrong = isRight.filter((right) => !right).length + Math.abs((await index.count()) - wanted.length);
    return { lost: Math.max(0, acknowledged + 1 - end), wrong };
  } finally {
    await engine.close();
  }
}
