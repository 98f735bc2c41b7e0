// The service as a process of its own, with a real model of the smallest preset.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { createEncoderClient, type EncoderClient } from '@online-cnclip/client';
import { fromVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { loadEncoderModel } from '@online-cnclip/encoding';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { checkHealth } from './testing.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const PICTURE = fileURLToPath(new URL('../../../test/goldens/augmentation/source.png', import.meta.url));
const VISION = 'ViT-mini-8-48';
const TEXT = 'RoBERTa-mini-chinese';
const TOWERS = { visionModel: VISION, textModel: TEXT, contextLength: 0 };
const BYTES = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;
const TEXTS = ['红色连衣裙', '男士运动鞋 透气', '', 'a'];

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'encoder-main-'));
  const parameters = initializeParameters(resolveModelConfig(VISION, TEXT), 1);
  await writeCheckpoint(join(folder, 'epoch1.pt'), { epoch: 1, step: 1, name: 'test', parameters });
});
after(() => rm(folder, { recursive: true }));

interface Process {
  readonly child: ChildProcess;
  readonly client: EncoderClient;
  readonly address: string;
  readonly metrics: string;
}

async function start(context: TestContext, ...flags: string[]): Promise<Process> {
  const child = spawn(
    process.execPath,
    [
      MAIN,
      '--data-folder',
      folder,
      '--listen-address',
      '127.0.0.1:0',
      '--metrics-address',
      '127.0.0.1:0',
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  context.after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { address, metrics } = JSON.parse(line);
  const client = createEncoderClient(address);
  context.after(() => client.close());
  return { child, client, address, metrics };
}

async function untilServing(address: string): Promise<void> {
  while ((await checkHealth(address)) !== 'SERVING') await new Promise((resolve) => setTimeout(resolve, 20));
}

test('waits for LoadModel, not serving; then gives the vectors of the model in process', async (t) => {
  const { client, address, metrics, child } = await start(t);
  assert.equal(await checkHealth(address), 'NOT_SERVING');
  await assert.rejects(client.encodeText({ texts: ['a'], vectorFormat: BYTES }), FailedPreconditionError);
  await assert.rejects(client.loadModel({ checkpointPath: '../epoch1.pt', ...TOWERS }), InvalidInputError);
  const { model } = await client.loadModel({ checkpointPath: 'epoch1.pt', ...TOWERS });
  assert.equal(await checkHealth(address), 'SERVING');

  const picture = await readFile(PICTURE);
  const local = await loadEncoderModel({
    ...TOWERS,
    path: join(folder, 'epoch1.pt'),
    contextLength: model?.contextLength ?? 0,
    createRuntime: () => createOnnxRuntime({ threads: 1 }),
  });
  t.after(() => local.dispose());
  assert.equal(model?.fingerprint, local.description.fingerprint);
  const images = [picture, Buffer.from('no image'), picture];
  const answers = [
    ...(await client.encodeText({ texts: TEXTS, vectorFormat: BYTES })).embeddings,
    ...(await client.encodeImage({ images, vectorFormat: BYTES })).embeddings,
  ];
  const expected = [...(await local.encodeTexts(TEXTS)), ...(await local.encodeImages(images))];
  answers.forEach(({ vector }, index) => {
    const outcome = expected[index];
    assert.equal(vector !== undefined, outcome?.ok);
    if (!vector || !outcome?.ok) return;
    fromVector(vector, 'vector').forEach((value, position) => {
      assert.ok(Math.abs(value - (outcome.value[position] as number)) < 1e-6);
    });
  });
  const page = await (await fetch(`http://${metrics}/metrics`)).text();
  assert.match(page, /onlinecnclip_encoder_batch_items_count\{.*tower="image".*\} [1-9]/);
  assert.match(page, /onlinecnclip_encoder_queued_texts\{.*\} 0/);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('loads the configured checkpoint and serves after a real inference', async (t) => {
  const { client, address } = await start(
    t,
    ...[
      '--checkpoint',
      'epoch1.pt',
      '--vision-model',
      VISION,
      '--text-model',
      TEXT,
      '--context-length',
      '12',
    ],
  );
  await untilServing(address);
  const { model } = await client.getModel({});
  assert.equal(model?.contextLength, 12);
  assert.equal(model?.checkpointPath, 'epoch1.pt');
  const { texts } = await client.tokenize({ texts: ['红色连衣裙'], contextLength: 0 });
  assert.equal(texts[0]?.length, 7);
});

test('a checkpoint that is not there ends the process with status 1, a bad setting with 2', async (t) => {
  const { child } = await start(t, '--checkpoint', 'missing.pt');
  assert.deepEqual(await once(child, 'exit'), [1, null]);
  const wrong = spawn(process.execPath, [MAIN, '--context-length', '1'], { stdio: 'ignore' });
  assert.deepEqual(await once(wrong, 'exit'), [2, null]);
});
