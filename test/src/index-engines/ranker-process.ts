import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRankerClient, type RankerClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import { CreateIndexRequest, SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import { unitVectors } from './vectors.ts';

const main = fileURLToPath(new URL('../../../services/ranker/src/main.ts', import.meta.url));
const DIMENSION = 16;
const ITEMS = 400;
const MODEL = 'model-a';

export interface RankerProcess {
  readonly client: RankerClient;
  /** Lines of its log. */
  readonly log: readonly Record<string, unknown>[];
  /** @returns its exit code; null when the signal ended it. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/** The ranker as it is deployed, on a free port of loopback and without an encoder. */
export async function startRanker(
  context: TestContext,
  dataFolder: string,
  flags: readonly string[],
): Promise<RankerProcess> {
  const loopback = [
    '--listen-address',
    '127.0.0.1:0',
    '--metrics-address',
    'off',
    '--encoder-address',
    '127.0.0.1:1',
  ];
  const child = spawn(process.execPath, [main, ...loopback, '--data-folder', dataFolder, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  context.after(() => child.kill('SIGKILL'));
  const log: Record<string, unknown>[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(JSON.parse(line)));
  const ready = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exited]);
  assert.equal(typeof ready[0], 'string', `the ranker ended: ${JSON.stringify(log.at(-1))}`);
  const client = createRankerClient((JSON.parse(ready[0]) as { address: string }).address);
  return {
    client,
    log,
    async stop(signal) {
      client.close();
      child.kill(signal);
      return ((await exited) as [number | null])[0];
    },
  };
}

const vectors = unitVectors(ITEMS, DIMENSION, 11);
const vectorOf = (id: number): Float32Array => vectors.subarray(id * DIMENSION, (id + 1) * DIMENSION);

const items = (ids: readonly number[]) =>
  UpsertItemsRequest.fromPartial({
    index: 'live',
    modelFingerprint: MODEL,
    items: ids.map((id) => ({
      id: BigInt(id),
      content: { $case: 'vector' as const, value: toVector(vectorOf(id)) },
      attributes: {
        category: { value: { $case: 'stringValue' as const, value: id % 3 === 0 ? '裙子' : '"; 衬衫' } },
        price: { value: { $case: 'intValue' as const, value: BigInt(id) } },
      },
    })),
  });

async function search(client: RankerClient, ids: readonly number[], category?: string) {
  const { results, index } = await client.search(
    SearchRequest.fromPartial({
      index: 'live',
      modelFingerprint: MODEL,
      topK: 5,
      queries: ids.map((id) => ({ query: { $case: 'vector' as const, value: toVector(vectorOf(id)) } })),
      ...(category !== undefined && {
        filter: [
          {
            attribute: 'category',
            test: {
              $case: 'oneOf' as const,
              value: { values: [{ value: { $case: 'stringValue' as const, value: category } }] },
            },
          },
        ],
      }),
    }),
  );
  assert.equal(index, 'shop');
  return results.map((result) => result.ids.map(Number));
}

const all = Array.from({ length: ITEMS }, (_, id) => id);
const asked = [0, 1, 50, 200, ITEMS - 1];

/** Makes an index through the service, fills it and asks for it by an alias. */
export async function fillAndCheck({ client }: RankerProcess): Promise<void> {
  await client.createIndex(
    CreateIndexRequest.fromPartial({ name: 'shop', dimension: DIMENSION, modelFingerprint: MODEL }),
  );
  await client.setAlias({ alias: 'live', index: 'shop' });
  const { upserted, refused } = await client.upsertItems([items(all.slice(0, 250)), items(all.slice(250))]);
  assert.deepEqual([upserted, refused], [BigInt(ITEMS), 0n]);
  const other = UpsertItemsRequest.fromPartial({ ...items([1]), modelFingerprint: 'model-b' });
  await assert.rejects(client.upsertItems([other]), FailedPreconditionError);
  const { deleted } = await client.deleteItems({ index: 'live', ids: [7n, 8n, 9_999n] });
  assert.equal(deleted, 2n);
  await check({ client });
}

/** What {@link fillAndCheck} left is there and found. */
export async function check({ client }: Pick<RankerProcess, 'client'>): Promise<void> {
  const { index } = await client.getIndex({ name: 'live' });
  assert.deepEqual(
    [index?.name, index?.items, index?.modelFingerprint, index?.aliases],
    ['shop', BigInt(ITEMS - 2), MODEL, ['live']],
  );
  assert.deepEqual(
    (await search(client, asked)).map((ids) => ids[0]),
    asked,
  );
  assert.ok(!(await search(client, [7, 8])).flat().some((id) => id === 7 || id === 8));
  for (const ids of await search(client, asked, '裙子')) {
    assert.equal(ids.length, 5);
    assert.ok(ids.every((id) => id % 3 === 0));
  }
  const { items: stored } = await client.getItems({ index: 'live', ids: [1n, 7n] });
  assert.deepEqual(
    stored.map(({ attributes }) => attributes['category']?.value?.value),
    ['"; 衬衫', undefined],
  );
}
