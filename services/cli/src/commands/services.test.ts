// search, services and run against the real services, with the smallest model.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { createRankerClient, createTrainerClient } from '@online-cnclip/client';
import { CreateIndexRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { RunOptions } from '@online-cnclip/contracts/trainer/v1';
import {
  cnclip,
  goldens,
  start,
  startService,
  stopServices,
  succeed,
  tinyDataPath,
  trainTiny,
} from '../testing/processes.ts';

const dataPath = tinyDataPath();
const picture = join(goldens, 'preprocessing/photo.jpg');
const pictures = ['photo.jpg', 'gray.jpg', 'palette.png'].map((file) => join(goldens, 'preprocessing', file));
const addresses = { encoder: '', trainer: '', ranker: '' };
const ranker = () => ['--address', addresses.ranker];
const trainer = () => ['--address', addresses.trainer];

after(stopServices);
before(async () => {
  await succeed([
    'dataset',
    'build',
    '--data-path',
    dataPath,
    '--dataset',
    'tiny',
    '--splits',
    'train,valid',
  ]);
  await succeed(trainTiny(dataPath, 1));
  const folder = ['--data-folder', dataPath];
  const checkpoint = ['--checkpoint', 'experiments/tiny/checkpoints/epoch_latest.pt'];
  const model = [
    '--vision-model',
    'ViT-mini-8-48',
    '--text-model',
    'RoBERTa-mini-chinese',
    '--context-length',
    '12',
  ];
  addresses.encoder = await startService('encoder', [...folder, ...checkpoint, ...model]);
  addresses.trainer = await startService('trainer', [...folder, '--threads', '1']);
  addresses.ranker = await startService('ranker', [...folder, '--encoder-address', addresses.encoder]);
  await untilServing();
  await fillIndex('pictures');
});

async function untilServing(): Promise<void> {
  const flags = Object.entries(addresses).flatMap(([name, address]) => [`--${name}`, address]);
  for (let attempt = 0; attempt < 60; attempt++) {
    const { code, stdout } = await cnclip(['services', 'status', ...flags]);
    assert.doesNotMatch(stdout, /unreachable/);
    if (code === 0) {
      assert.deepEqual(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.split(/\s+/)),
        Object.entries(addresses).map(([name, address]) => [name, address, 'SERVING']),
      );
      return;
    }
  }
  assert.fail('the services do not serve');
}

async function fillIndex(name: string): Promise<void> {
  const client = createRankerClient(addresses.ranker);
  try {
    await client.createIndex(CreateIndexRequest.fromPartial({ name }));
    const items = pictures.map((path, i) => ({
      id: BigInt(i + 1),
      content: { $case: 'image' as const, value: readFileSync(path) },
    }));
    const { upserted } = await client.upsertItems([UpsertItemsRequest.fromPartial({ index: name, items })]);
    assert.equal(upserted, BigInt(pictures.length));
  } finally {
    client.close();
  }
}

test('search finds a picture by itself, and answers texts', async () => {
  const printed = await succeed(['search', ...ranker(), '红色的心', '--image', picture, '--top-k', '2']);
  const lines = printed.trimEnd().split('\n');
  assert.deepEqual([lines[0], lines[3]], ['红色的心', picture]);
  assert.match(lines[4] ?? '', /^ +1 {2}1 {2}1\.0000$/);
  assert.equal(lines.length, 6);
});

test('search names what is wrong with index, file and query', async () => {
  const index = await cnclip(['search', ...ranker(), '--index', 'nothing', '猫']);
  assert.equal(index.code, 1);
  assert.match(index.stderr, /^cnclip: .*nothing[^\n]*\n$/);
  const file = await cnclip(['search', ...ranker(), '--image', '/nowhere.png']);
  assert.equal(file.code, 1);
  assert.match(file.stderr, /^cnclip: \/nowhere\.png: cannot be read/);
  const noImage = await cnclip([
    'search',
    ...ranker(),
    '猫',
    '--image',
    join(goldens, 'preprocessing/bad/empty.jpg'),
  ]);
  assert.equal(noImage.code, 2);
  assert.match(noImage.stdout, /^猫\n +1 /);
  assert.equal((await cnclip(['search', ...ranker()])).code, 2);
});

test('a gallery is re-embedded into an index of its own, which then takes the place of the old one', async () => {
  const images = join(dataPath, 'datasets/tiny/lmdb/valid');
  const reembed = ['index', 'reembed', '--images', images, ...ranker(), '--encoder', addresses.encoder];
  const client = createRankerClient(addresses.ranker);
  try {
    const modelFingerprint = 'an earlier model';
    await client.createIndex({ name: 'old', dimension: 2, modelFingerprint });
    // The first is an image of the split, which has 24; the others are not.
    const ids = Array.from({ length: 25 }, (_, i) => (i === 0 ? 1000003n : BigInt(i)));
    const items = ids.map((id) => ({
      id,
      content: { $case: 'vector' as const, value: { values: [1, Number(id)] } },
      attributes: { shelf: { value: { $case: 'intValue' as const, value: id } } },
    }));
    await client.upsertItems([UpsertItemsRequest.fromPartial({ index: 'old', items, modelFingerprint })]);
    assert.equal(await succeed(['index', 'alias', 'live', 'old', ...ranker()]), 'live -> old\n');

    const fewer = await cnclip([...reembed, '--into', 'new']);
    assert.equal(fewer.code, 1);
    assert.match(fewer.stderr, /live was left as it is: 0 images .* new has 24 items where old has 25/);
    assert.equal((await client.getIndex({ name: 'live' })).index?.name, 'old');
    const { index } = await client.getIndex({ name: 'next' });
    assert.deepEqual([index?.name, index?.items], ['new', 24n]);

    // As if it had been interrupted: what is there is not embedded again.
    await client.deleteItems({ index: 'next', ids: [1000003n, 1000020n] });
    const swapped = await succeed([...reembed, '--into', 'new', '--allow-missing']);
    assert.equal(swapped, 'live -> new (before: old)\n');
    const { items: found } = await client.getItems({ index: 'live', ids: [1000003n, 1000020n, 7n] });
    const { OK, NOT_FOUND } = status;
    assert.deepEqual(
      found.map(({ status, attributes }) => [status?.code, attributes]),
      [
        [OK, items[0]?.attributes],
        [OK, {}],
        [NOT_FOUND, {}],
      ],
    );
    assert.match(await succeed([...reembed, '--into', 'new']), /^live -> new already/);
    const list = await succeed(['index', 'list', ...ranker()]);
    assert.match(list, /^new +24 x 128 {2}[0-9a-f]{12} {2}<- live$/m);
    assert.match(list, /^old +25 x 2 {2}an earlier m$/m);
    assert.equal(await succeed(['index', 'drop', 'old', ...ranker()]), 'index old dropped with 25 items\n');
  } finally {
    client.close();
  }
});

test('run lists, watches and stops runs', async (context) => {
  const client = createTrainerClient(addresses.trainer);
  context.after(() => client.close());
  const options = RunOptions.fromPartial({
    name: 'long',
    trainData: 'datasets/tiny/lmdb/train',
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
    batchSize: 4,
    contextLength: 12,
    logInterval: 1,
    numWorkers: 0,
    maxSteps: 100_000n,
  });
  await client.startRun({ options });
  const watching = start(['run', 'watch', 'long', ...trainer()]);
  await new Promise<void>((resolve) => {
    let text = '';
    watching.child.stdout?.on('data', (chunk) => {
      text += chunk;
      if (text.includes('RUNNING')) resolve();
    });
  });
  assert.match(await succeed(['run', 'list', ...trainer()]), /^long {2}RUNNING {2}step \d+\/100000 /);
  const stopped = await succeed(['run', 'stop', ...trainer(), 'long']);
  assert.match(
    stopped,
    /^long {2}STOPPED {2}step \d+\/100000 .* {2}experiments\/long\/checkpoints\/epoch_latest\.pt\n$/,
  );
  const { code, stdout } = await watching.outcome;
  assert.equal(code, 0);
  assert.equal(stdout.trimEnd().split('\n').at(-1), stopped.trimEnd());
  const again = await cnclip(['run', 'stop', ...trainer(), 'long']);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^cnclip: [^\n]*long[^\n]*\n$/);
});

test('a service that is not there is named by its address', async () => {
  const address = '127.0.0.1:1';
  const { code, stderr } = await cnclip(['run', 'list', '--address', address]);
  assert.equal(code, 1);
  assert.match(stderr, /^cnclip: 127\.0\.0\.1:1: [^\n]*ECONNREFUSED[^\n]*\n$/);
  const wrong = await cnclip(['search', '--address', 'nowhere', '猫']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--address/);
});
