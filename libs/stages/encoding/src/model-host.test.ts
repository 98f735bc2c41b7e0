import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  AbortedError,
  ApplicationError,
  CancelledError,
  DataLossError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import { ModelHost, type ResolvedModelRequest } from './model-host.ts';
import { createFakeModel, type FakeModel } from './testing.ts';

const folder = await mkdtemp(join(tmpdir(), 'model-host-'));
after(() => rm(folder, { recursive: true }));
await mkdir(join(folder, 'root'));
for (const name of ['root/a.pt', 'root/b.pt', 'secret.pt']) await writeFile(join(folder, name), name);
await symlink(join(folder, 'secret.pt'), join(folder, 'root/link.pt'));

function setUp(prepare?: (fake: FakeModel) => void) {
  const loads: ResolvedModelRequest[] = [];
  const fakes: FakeModel[] = [];
  const host = new ModelHost({
    dataFolder: join(folder, 'root'),
    contextLength: 24,
    logger: silentLogger,
    load: async (request) => {
      loads.push(request);
      const fake = createFakeModel({ description: { ...request } });
      prepare?.(fake);
      fakes.push(fake);
      return fake.model;
    },
  });
  return { host, loads, fakes };
}

const towers = { visionModel: 'v', textModel: 't' };

test('without a model every use says so', async () => {
  const { host } = setUp();
  assert.throws(() => host.current, FailedPreconditionError);
  await assert.rejects(
    host.use(async () => 1),
    FailedPreconditionError,
  );
});

test('a loaded model has computed a text and an image before it takes calls', async () => {
  const { host, fakes } = setUp();
  const { model } = await host.load({ ...towers, checkpointPath: 'a.pt' });
  assert.equal(host.current.model, model);
  assert.equal(fakes[0]?.textTower.runs.length, 1);
  assert.equal(fakes[0]?.imageTower.runs.length, 1);
});

test('towers and context length are kept from the loaded model and the options where not given', async () => {
  const { host, loads } = setUp();
  await assert.rejects(host.load({ checkpointPath: 'a.pt' }), InvalidInputError);
  await host.load({ ...towers, checkpointPath: 'a.pt', contextLength: 52 });
  await host.load({ checkpointPath: 'b.pt', visionModel: '', contextLength: 0 });
  assert.deepEqual(
    loads.map(({ absolutePath: _, ...rest }) => rest),
    [
      { ...towers, checkpointPath: 'a.pt', contextLength: 52 },
      { ...towers, checkpointPath: 'b.pt', contextLength: 24 },
    ],
  );
});

test('only files of the folder are loaded', async () => {
  const { host, loads } = setUp();
  for (const path of [
    '../secret.pt',
    join(folder, 'secret.pt'),
    'link.pt',
    'x/../../secret.pt',
    '',
    'a\0.pt',
  ])
    await assert.rejects(host.load({ ...towers, checkpointPath: path }), InvalidInputError, path);
  await assert.rejects(host.load({ ...towers, checkpointPath: 'missing.pt' }), NotFoundError);
  assert.equal(loads.length, 0);
});

test('a checkpoint that cannot be loaded is named as the caller named it', async () => {
  const host = new ModelHost({
    dataFolder: join(folder, 'root'),
    contextLength: 24,
    logger: silentLogger,
    load: async ({ absolutePath }) => {
      throw new DataLossError('is cut short', { place: absolutePath });
    },
  });
  await assert.rejects(host.load({ ...towers, checkpointPath: 'a.pt' }), (error) => {
    assert.ok(error instanceof ApplicationError);
    assert.equal(error.kind, 'data-loss');
    assert.equal(error.message, 'checkpoint_path: a.pt: is cut short');
    return true;
  });
});

test('a model that does not verify is disposed and the old one stays', async () => {
  let count = 0;
  const { host, fakes } = setUp((fake) => {
    if (count++ === 1) fake.imageTower.failure = new Error('no memory');
  });
  const { model } = await host.load({ ...towers, checkpointPath: 'a.pt' });
  await assert.rejects(host.load({ checkpointPath: 'b.pt' }), /no memory/);
  assert.equal(host.current.model, model);
  assert.ok(fakes[1]?.textTower.disposed);
  assert.ok(!fakes[0]?.textTower.disposed);
});

test('one load at a time, and a cancelled one changes nothing', async () => {
  let release = () => {};
  const { host, fakes } = setUp((fake) => {
    release = fake.imageTower.hold();
  });
  const controller = new AbortController();
  const first = host.load({ ...towers, checkpointPath: 'a.pt' }, controller.signal);
  await assert.rejects(host.load({ ...towers, checkpointPath: 'b.pt' }), AbortedError);
  while (fakes[0]?.imageTower.runs.length !== 1) await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  release();
  await assert.rejects(first, CancelledError);
  assert.throws(() => host.current, FailedPreconditionError);
});

test('closing waits for calls under way and frees the models', async () => {
  const { host, fakes } = setUp();
  await host.load({ ...towers, checkpointPath: 'a.pt' });
  const release = fakes[0]?.textTower.hold();
  const call = host.use((model) => model.encodeTexts(['a']));
  const closing = host.close();
  await assert.rejects(
    host.use(async () => 1),
    FailedPreconditionError,
  );
  release?.();
  assert.ok((await call)[0]?.ok);
  await closing;
  assert.ok(fakes[0]?.textTower.disposed);
  await assert.rejects(host.load({ ...towers, checkpointPath: 'a.pt' }), UnavailableError);
});
