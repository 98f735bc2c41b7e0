import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../random.ts';
import { makeFolder } from '../run-soak.ts';
import { defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { LoadedEncoder } from './loaded-encoder.ts';
import { UpsertedRanker } from './upserted-ranker.ts';
import { type Check, checkBuilt, checkCached, checkSaved, makeSources } from './written.ts';

type KillBounds = { readonly minutes: number; readonly kills: number };

/** Something that is killed in the middle of its work, again and again. */
export interface Victim {
  readonly name: string;
  /** Begins, works, is killed at a moment that `random` gives. @returns what is wrong afterwards. */
  kill(random: () => number): Promise<string[]>;
  /** What was acknowledged in all. */
  readonly acknowledged: number;
}

const WRITER = fileURLToPath(new URL('./writing-process.ts', import.meta.url));

const SHOWN_FAULTS = 20;

export const soak = defineSoak<KillBounds>({
  name: 'kill',
  description: 'SIGKILL at random moments of loading, upserting, building, saving and caching',
  bounds: {
    short: { minutes: 5, kills: 10 },
    default: { minutes: 30, kills: 100 },
    long: { minutes: 300, kills: 1_000 },
  },
  run: async (context) => {
    const random = seededRandom(context.seed);
    const victims = await openVictims(context);
    const faults = new Map(victims.map(({ name }) => [name, 0]));
    let kills = 0;
    for (; kills < context.bounds.kills && !context.timeUp.aborted && !context.signal.aborted; kills += 1) {
      const victim = victims[kills % victims.length] as Victim;
      for (const fault of await victim.kill(random)) {
        const count = (faults.get(victim.name) ?? 0) + 1;
        faults.set(victim.name, count);
        appendFileSync(join(context.folder, 'faults.txt'), `${victim.name}: ${fault}\n`);
        if (count <= SHOWN_FAULTS) context.tell(`kill ${kills}, ${victim.name}: ${fault}`);
      }
    }
    const figures: Figure[] = [exactly('kills', kills, context.bounds.kills)];
    for (const { name, acknowledged } of victims) {
      figures.push(exactly(`corrupt or lost: ${name}`, faults.get(name) ?? 0, 0));
      figures.push({ name: `acknowledged: ${name}`, value: acknowledged, unit: '' });
    }
    return { figures };
  },
});

async function openVictims(context: SoakContext<KillBounds>): Promise<Victim[]> {
  const folder = (name: string): string => makeFolder(context.folder, name);
  makeSources(folder('dataset'));
  return [
    new Writer(context, 'checkpoint', folder('checkpoint'), checkSaved),
    new Writer(context, 'dataset', folder('dataset'), checkBuilt),
    new Writer(context, 'cache', folder('cache'), checkCached),
    new UpsertedRanker(context, folder('ranker')),
    await LoadedEncoder.prepare(context, folder('encoder')),
  ];
}

/** From its first sign of life to the end of a writing process at most. */
const MAX_LIFE_MS = 400;

/** A process that only writes. */
class Writer implements Victim {
  readonly name: string;
  readonly #context: SoakContext<KillBounds>;
  readonly #folder: string;
  readonly #check: Check;
  #latest = 0;

  constructor(context: SoakContext<KillBounds>, name: string, folder: string, check: Check) {
    this.#context = context;
    this.name = name;
    this.#folder = folder;
    this.#check = check;
  }

  get acknowledged(): number {
    return this.#latest;
  }

  async kill(random: () => number): Promise<string[]> {
    const { children } = this.#context;
    const args = [WRITER, this.name, this.#folder, String(this.#latest + 1)];
    const child = children.spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const born = Promise.withResolvers<void>();
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const heard = (async () => {
      for await (const line of lines) {
        born.resolve();
        this.#latest = Math.max(this.#latest, Number(line));
      }
      born.resolve();
    })();
    await born.promise;
    await sleep(random() * MAX_LIFE_MS);
    if (child.exitCode !== null) return [`the writer ended by itself with status ${child.exitCode}`];
    await children.kill(child);
    await heard;
    return this.#check(this.#folder, this.#latest).catch((error: unknown) => [String(error)]);
  }
}
