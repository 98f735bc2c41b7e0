import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidInputError, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import yauzl from 'yauzl';
import type { Checkpoint, OptimizerState } from '../checkpoint.ts';
import { inspectCheckpoint } from '../inspect-checkpoint.ts';
import { hasWeightDecay, isBuffer } from '../naming/chinese-clip.ts';
import { readCheckpoint } from '../read-checkpoint.ts';
import { float32Array, golden, plain, temporaryFolder } from '../testing/goldens.ts';
import { openTorchPickle } from '../testing/torch-files.ts';
import { writeCheckpoint } from './write-checkpoint.ts';
import { writeZip } from './zip-writer.ts';

const folder = temporaryFolder();
const path = join(folder, 'written.pt');

/** Moments that tell which parameter they belong to. */
function moments(parameters: NamedArrays, seed: number): NamedArrays {
  const trainable = [...parameters].filter(([name]) => !isBuffer(name));
  return new Map(
    trainable.map(([name, { shape, data }], i) => [
      name,
      { dtype: 'float32', shape, data: new Float32Array(data.length).fill(seed + i) } as NdArray,
    ]),
  );
}

async function trained(from: string, kind: OptimizerState['kind']): Promise<Checkpoint> {
  const { parameters } = await readCheckpoint(golden(from));
  const settings = { learningRate: 1, beta1: 0.9, beta2: 0.98, eps: 1e-6, weightDecay: 0.01 };
  return {
    epoch: 2,
    step: 77,
    name: '试验',
    parameters,
    optimizer: {
      kind,
      step: 77,
      settings,
      expAvg: moments(parameters, 1),
      expAvgSq: moments(parameters, 0.5),
    },
    extra: { random: [1, 2 ** 40, -5, 1.5], text: '中', none: null, flag: true, nested: { list: [[]] } },
  };
}

for (const from of ['vit/checkpoint.pt', 'resnet/checkpoint.pt'])
  for (const kind of ['adamw', 'lamb'] as const)
    test(`${from} with ${kind} comes back whole`, async () => {
      const checkpoint = await trained(from, kind);
      await writeCheckpoint(path, checkpoint);
      const back = await readCheckpoint(path);
      assert.deepEqual([back.epoch, back.step, back.name], [2, 77, '试验']);
      assert.deepEqual(back.extra, checkpoint.extra);
      assert.deepEqual([...back.parameters.keys()], [...checkpoint.parameters.keys()]);
      assert.deepEqual(plain(back.parameters), plain(checkpoint.parameters));
      assert.equal(back.optimizer?.kind, kind);
      assert.equal(back.optimizer?.step, 77);
      const { maxGradientNorm, ...settings } = back.optimizer?.settings ?? {};
      assert.deepEqual(settings, checkpoint.optimizer?.settings);
      assert.equal(maxGradientNorm, kind === 'lamb' ? 1 : undefined);
      for (const key of ['expAvg', 'expAvgSq'] as const)
        assert.deepEqual(
          plain(back.optimizer?.[key] as NamedArrays),
          plain(checkpoint.optimizer?.[key] as NamedArrays),
        );
      assert.deepEqual(readdirSync(folder), ['written.pt'], 'no temporary file is left');
    });

test("names and indices are the research code's: module., no decay first", async () => {
  const checkpoint = await trained('vit/checkpoint.pt', 'adamw');
  await writeCheckpoint(path, checkpoint);
  const root = await openTorchPickle(path);
  const names = [...checkpoint.parameters.keys()];
  assert.deepEqual(
    [...root.get('state_dict').keys()],
    names.map((name) => `module.${name}`),
  );
  const groups: Map<string, unknown>[] = root.get('optimizer').get('param_groups');
  assert.deepEqual(
    groups.map((group) => group.get('weight_decay')),
    [0, 0.01],
  );
  assert.deepEqual(
    groups.map((group) => group.get('param_names')),
    [names.filter((name) => !hasWeightDecay(name)), names.filter(hasWeightDecay)],
  );
  assert.deepEqual(
    groups.flatMap((group) => group.get('params')),
    [...names.keys()],
  );
});

test('without module., and with a frozen image tower', async () => {
  const checkpoint = await trained('vit/checkpoint.pt', 'lamb');
  const thawed = (arrays: NamedArrays): NamedArrays =>
    new Map([...arrays].filter(([name]) => !name.startsWith('visual.')));
  const optimizer = checkpoint.optimizer as OptimizerState;
  const frozen = { ...optimizer, expAvg: thawed(optimizer.expAvg), expAvgSq: thawed(optimizer.expAvgSq) };
  await writeCheckpoint(path, { ...checkpoint, optimizer: frozen }, { modulePrefix: false });
  const { tensors } = await inspectCheckpoint(path);
  assert.deepEqual(
    tensors.map(({ name }) => name),
    [...checkpoint.parameters.keys()],
  );
  const back = await readCheckpoint(path);
  assert.deepEqual(plain(back.optimizer?.expAvg as NamedArrays), plain(frozen.expAvg));
});

test('half precision rounds to nearest; integers and moments stay', async () => {
  const checkpoint = await trained('resnet/checkpoint.pt', 'adamw');
  const precisions = [
    ['fp16', 2 ** -11],
    ['bf16', 2 ** -8],
  ] as const;
  for (const [precision, step] of precisions) {
    await writeCheckpoint(path, checkpoint, { precision });
    const back = await readCheckpoint(path);
    assert.equal(back.precision, precision);
    for (const [name, { dtype, data }] of checkpoint.parameters) {
      const read = back.parameters.get(name) as NdArray;
      assert.equal(read.dtype, dtype, name);
      const [before, after] = [
        Array.from<unknown>(data).map(Number),
        Array.from<unknown>(read.data).map(Number),
      ];
      const worst = Math.max(...before.map((value, i) => Math.abs(value - (after[i] as number))));
      assert.ok(worst <= Math.max(...before.map(Math.abs)) * step, `${name}: ${worst}`);
    }
    const moments = [back, checkpoint].map(({ optimizer }) => plain(optimizer?.expAvg as NamedArrays));
    assert.deepEqual(moments[0], moments[1]);
  }
});

test('bf16 ties go to even, infinities and NaN stay', async () => {
  const values = [
    1,
    1 + 2 ** -8,
    1 + 3 * 2 ** -8,
    -(1 + 2 ** -8 + 2 ** -20),
    Infinity,
    -Infinity,
    NaN,
    3.4e38,
  ];
  await writeCheckpoint(
    path,
    { parameters: new Map([['x', float32Array([8], values)]]) },
    { precision: 'bf16' },
  );
  const { parameters } = await readCheckpoint(path);
  // What torch.tensor(values).bfloat16().float() gives.
  const expected = [1, 1, 1 + 2 ** -6, -(1 + 2 ** -7), Infinity, -Infinity, NaN, Infinity];
  assert.deepEqual(plain(parameters)['x']?.[2], expected);
});

test('storages are aligned to 64 bytes, stored, with checksums that yauzl accepts; also as zip64', async () => {
  const files = [
    { path, write: () => readCheckpoint(golden('vit/checkpoint.pt')).then((c) => writeCheckpoint(path, c)) },
    {
      path: join(folder, 'wide.zip'),
      write: () =>
        writeZip(
          join(folder, 'wide.zip'),
          [
            { name: 'a/data.pkl', content: () => Buffer.from('}.', 'latin1') },
            { name: 'a/data/0', content: () => new Uint8Array(1000).fill(7) },
          ],
          1,
        ),
    },
  ];
  for (const file of files) {
    await file.write();
    const zip = await yauzl.openPromise(file.path, { strictFileNames: true, autoClose: false });
    let entries = 0;
    for await (const entry of zip.eachEntry()) {
      entries++;
      const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry);
      assert.equal(fileDataStart % 64, 0, entry.fileName);
      // yauzl checks the size against the data, and the checksum only on request: compare the bytes.
      const chunks: Buffer[] = [];
      for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
      const bytes = readFileSync(file.path).subarray(fileDataStart, fileDataStart + entry.uncompressedSize);
      assert.deepEqual(Buffer.concat(chunks), bytes);
    }
    assert.ok(entries >= 2);
    zip.close();
  }
  assert.equal((await readCheckpoint(join(folder, 'wide.zip'))).parameters.size, 0);
  rmSync(join(folder, 'wide.zip'));
});

test('what does not belong is refused, and the old file stays', async () => {
  writeFileSync(path, 'old');
  const checkpoint = await trained('vit/checkpoint.pt', 'adamw');
  const optimizer = checkpoint.optimizer as OptimizerState;
  const stray: NamedArrays = new Map([...optimizer.expAvg, ['stray', float32Array([1], [0])]]);
  const short: NamedArrays = new Map([...optimizer.expAvgSq].slice(1));
  const wrong: Checkpoint[] = [
    { ...checkpoint, optimizer: { ...optimizer, expAvg: stray } },
    { ...checkpoint, optimizer: { ...optimizer, expAvgSq: short } },
    { ...checkpoint, extra: { date: new Date() as never } },
    { ...checkpoint, extra: { list: [undefined as never] } },
  ];
  for (const bad of wrong) await assert.rejects(writeCheckpoint(path, bad), InvalidInputError);
  assert.equal(readFileSync(path, 'utf8'), 'old');
});
