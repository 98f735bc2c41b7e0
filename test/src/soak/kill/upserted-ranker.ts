import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRankerClient, type RankerClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import { CreateIndexRequest, SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { seededRandom } from '../random.ts';
import type { Bounds, SoakContext } from '../soak.ts';
import type { Victim } from './soak.ts';

const INDEX = 'live';
const DIMENSION = 32;
const ITEMS_PER_CALL = 20;

/** Calls that wait at the moment of the kill. */
const CALLS_AT_ONCE = 3;

/** From the first answer to the kill at most. */
const MAX_LIFE_MS = 600;

/** Looked for after each kill: the latest, and as many at random of all. */
const PROBES = 200;

/** The ranker, killed while items are upserted. */
export class UpsertedRanker implements Victim {
  readonly name = 'upsert';
  readonly #context: SoakContext<Bounds>;
  readonly #folder: string;
  /** Ids whose upsert was answered. */
  readonly #ids: number[] = [];
  #next = 1;
  #isCreated = false;

  constructor(context: SoakContext<Bounds>, folder: string) {
    this.#context = context;
    this.#folder = folder;
  }

  get acknowledged(): number {
    return this.#ids.length;
  }

  async kill(random: () => number): Promise<string[]> {
    return this.#live(async (client, kill) => {
      if (!this.#isCreated)
        await client.createIndex(CreateIndexRequest.fromPartial({ name: INDEX, dimension: DIMENSION }));
      this.#isCreated = true;
      const missing = await this.#missing(client, random);
      const dying = sleep(random() * MAX_LIFE_MS).then(kill);
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, () => this.#upsertUntilDeath(client)));
      await dying;
      return missing;
    });
  }

  async #live(
    work: (client: RankerClient, kill: () => Promise<void>) => Promise<string[]>,
  ): Promise<string[]> {
    const logPath = join(this.#context.folder, 'ranker.log');
    const flags = ['--data-folder', this.#folder];
    const process = await this.#context.children.startService('ranker', { flags, logPath });
    const client = createRankerClient(process.address);
    try {
      return await work(client, () => process.kill());
    } catch (error) {
      return [String(error)];
    } finally {
      await process.kill();
      client.close();
    }
  }

  async #upsertUntilDeath(client: RankerClient): Promise<void> {
    for (;;) {
      const ids = Array.from({ length: ITEMS_PER_CALL }, () => this.#next++);
      const items = ids.map((id) => ({
        id: BigInt(id),
        content: { $case: 'vector' as const, value: toVector(vectorOf(id)) },
      }));
      try {
        await client.upsertItems([UpsertItemsRequest.fromPartial({ index: INDEX, items })]);
      } catch {
        return;
      }
      this.#ids.push(...ids);
    }
  }

  /** Acknowledged items of earlier lives that a search for their own vectors does not find first. */
  async #missing(client: RankerClient, random: () => number): Promise<string[]> {
    const chosen = Array.from({ length: PROBES }, () => this.#ids[Math.floor(random() * this.#ids.length)]);
    const ids = [...new Set([...this.#ids.slice(-PROBES), ...chosen])].filter((id) => id !== undefined);
    if (ids.length === 0) return [];
    const queries = ids.map((id) => ({ query: { $case: 'vector' as const, value: toVector(vectorOf(id)) } }));
    const { results } = await client.search(SearchRequest.fromPartial({ index: INDEX, queries, topK: 1 }));
    return ids.flatMap((id, i) => (results[i]?.ids[0] === BigInt(id) ? [] : [`item ${id} is not found`]));
  }
}

/** Of unit length, the same for an id each time. */
function vectorOf(id: number): Float32Array {
  const random = seededRandom(id);
  const vector = Float32Array.from({ length: DIMENSION }, () => random() - 0.5);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
