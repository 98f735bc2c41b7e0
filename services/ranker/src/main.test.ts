import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRankerClient, type RankerClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import { CreateIndexRequest, SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { UnavailableError } from '@online-cnclip/foundation';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** A ranker process; its encoder's address is one where nobody listens. */
async function start(context: TestContext, dataFolder: string, ...flags: string[]) {
  const addresses = [
    '--listen-address',
    '127.0.0.1:0',
    '--metrics-address',
    'off',
    '--encoder-address',
    '127.0.0.1:1',
  ];
  const child = spawn(
    process.execPath,
    [main, ...addresses, '--data-folder', dataFolder, '--log-level', 'error', ...flags],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  context.after(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  const { ready, address } = JSON.parse(line);
  assert.equal(ready, 'ranker');
  const client = createRankerClient(address);
  return { child, client };
}

async function stop(
  { child, client }: { child: ChildProcess; client: RankerClient },
  signal: NodeJS.Signals,
) {
  client.close();
  child.kill(signal);
  const [code] = await once(child, 'exit');
  return code;
}

const upsert = (from: number, to: number) =>
  UpsertItemsRequest.fromPartial({
    index: 'shop',
    items: Array.from({ length: to - from + 1 }, (_, i) => ({
      id: BigInt(from + i),
      content: { $case: 'vector' as const, value: toVector(Float32Array.of(from + i, 1)) },
    })),
  });

test('what was acknowledged outlives the process, however it ends', async (context) => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'ranker-main-'));
  context.after(() => rm(dataFolder, { recursive: true }));
  const first = await start(context, dataFolder);
  await first.client.createIndex(CreateIndexRequest.fromPartial({ name: 'shop', dimension: 2 }));
  await first.client.upsertItems([upsert(1, 3)]);
  await first.client.setAlias({ alias: 'live', index: 'shop' });
  const queries = [{ query: { $case: 'text' as const, value: '猫' } }];
  const texts = SearchRequest.fromPartial({ index: 'live', queries, topK: 1 });
  await assert.rejects(first.client.search(texts), UnavailableError);
  assert.equal(await stop(first, 'SIGTERM'), 0);

  const second = await start(context, dataFolder);
  const { index } = await second.client.getIndex({ name: 'live' });
  assert.deepEqual([index?.name, index?.items, index?.aliases], ['shop', 3n, ['live']]);
  await second.client.upsertItems([upsert(4, 5)]);
  await stop(second, 'SIGKILL');

  const third = await start(context, dataFolder);
  assert.equal((await third.client.getIndex({ name: 'shop' })).index?.items, 5n);
  assert.equal(await stop(third, 'SIGTERM'), 0);
});
