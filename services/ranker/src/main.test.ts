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

const item = (id: number) => ({
  id: BigInt(id),
  content: { $case: 'vector' as const, value: toVector(Float32Array.of(id, 1)) },
});

test('indexes outlive the process', async (context) => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'ranker-main-'));
  context.after(() => rm(dataFolder, { recursive: true }));
  const first = await start(context, dataFolder);
  await first.client.createIndex({ name: 'shop', dimension: 2 });
  await first.client.upsertItems([{ index: 'shop', items: [1, 2, 3].map(item) }]);
  const texts = { index: 'shop', queries: [{ query: { $case: 'text' as const, value: '猫' } }], topK: 1 };
  await assert.rejects(first.client.search(texts), UnavailableError);
  assert.equal(await stop(first, 'SIGTERM'), 0);

  const second = await start(context, dataFolder, '--snapshot-interval-ms', '20');
  const { index } = await second.client.getIndex({ name: 'shop' });
  assert.equal(index?.items, 3n);
  await second.client.upsertItems([{ index: 'shop', items: [4, 5].map(item) }]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await stop(second, 'SIGKILL');

  const third = await start(context, dataFolder);
  assert.equal((await third.client.getIndex({ name: 'shop' })).index?.items, 5n);
  assert.equal(await stop(third, 'SIGTERM'), 0);
});
