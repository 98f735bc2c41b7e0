import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Feature, readNpy, writeFeatures, writeNpy } from '@online-cnclip/embedding-index';
import {
  CancelledError,
  DataLossError,
  float32,
  InvalidInputError,
  NotFoundError,
} from '@online-cnclip/foundation';
import {
  combineScores,
  DEFAULT_WEIGHTS,
  ensembleFiles,
  ensembleLastFiles,
  findMatrices,
  matrixOf,
  predictEnsemble,
  predictEnsembleFiles,
  predictSingle,
  rankRows,
  singleFiles,
} from '../index.ts';

const golden = fileURLToPath(new URL('../../../../../test/goldens/ranking/', import.meta.url));
const goldenIds = JSON.parse(await readFile(join(golden, 'ids.json'), 'utf8'));
const expected = await readFile(join(golden, 'expected-ensemble-top10.jsonl'), 'utf8');
const queryIds: bigint[] = goldenIds.query_ids.map(BigInt);
const itemIds: bigint[] = goldenIds.image_ids.map(BigInt);

const root = await mkdtemp(join(tmpdir(), 'predictions-'));
after(() => rm(root, { recursive: true }));

test('goldens/ranking: the ensemble is the reference, byte for byte', async () => {
  const predictions = join(root, 'golden.jsonl');
  const summary = await predictEnsemble({
    matrices: await findMatrices(golden),
    weights: goldenIds.weights,
    queryIds,
    itemIds,
    predictions,
  });
  assert.equal(await readFile(predictions, 'utf8'), expected);
  assert.deepEqual(summary, { queries: queryIds.length, gallery: itemIds.length });
  assert.deepEqual(DEFAULT_WEIGHTS, goldenIds.weights);
});

/** A data folder as the research code leaves it, with a gallery and queries of the golden's ids. */
async function dataFolder(name: string) {
  const path = join(root, name);
  const ids = (list: bigint[]): Feature[] =>
    list.map((id) => ({ id, feature: Float32Array.of(1, Number(id % 7n)) }));
  for (const files of [ensembleFiles(path), ensembleLastFiles(path)]) {
    await mkdir(dirname(files.imageFeatures), { recursive: true });
    await writeFeatures(files.imageFeatures, 'image_id', ids(itemIds));
    await writeFeatures(files.textFeatures, 'text_id', ids(queryIds));
    await cp(golden, files.matrixFolder, { recursive: true });
  }
  return path;
}

test("ensembles of the research code's folders, under its file names", async () => {
  const path = await dataFolder('data');
  for (const files of [ensembleFiles(path), ensembleLastFiles(path)]) {
    await predictEnsembleFiles(files);
    assert.equal(await readFile(files.predictions, 'utf8'), expected);
    // The combined matrix lies beside the models' and is not taken for one of them.
    assert.deepEqual((await readNpy(files.scoreMatrix)).shape, [queryIds.length, itemIds.length]);
    await predictEnsembleFiles(files);
    assert.equal(await readFile(files.predictions, 'utf8'), expected);
  }
  assert.deepEqual((await readdir(join(path, 'experiments/results'))).sort(), [
    'test_predictions_ensemble.jsonl',
    'test_predictions_ensemble_last.jsonl',
  ]);
  assert.ok((await readdir(join(path, 'npy_save'))).includes('matrix-ensemble.npy'));
  assert.ok((await readdir(join(path, 'npy_save_last'))).includes('matrix-ensemble-last.npy'));
  assert.ok((await readdir(join(path, 'datasets/MUGE'))).includes('test_imgs.img_feat-last.jsonl'));
  await rm(join(path, 'npy_save/matrix-4.npy'));
  await assert.rejects(predictEnsembleFiles(ensembleFiles(path)), /8 weights .* for 7 matrices/);
  const seven = goldenIds.weights.slice(1);
  assert.equal(
    (await predictEnsembleFiles(ensembleFiles(path), { weights: seven })).queries,
    queryIds.length,
  );
});

test('a failed ensemble leaves the old files', async () => {
  const path = await dataFolder('failing');
  const files = ensembleFiles(path);
  await predictEnsembleFiles(files);
  const [first, second] = await findMatrices(files.matrixFolder);
  const good = await readNpy(first as string);
  const fails = async (pattern: RegExp, ErrorClass: new (...args: never[]) => Error) => {
    await assert.rejects(predictEnsembleFiles(files), (error) => {
      assert.ok(error instanceof ErrorClass, String(error));
      assert.match(error.message, pattern);
      return true;
    });
    assert.equal(await readFile(files.predictions, 'utf8'), expected);
  };
  const [rows, columns] = good.shape as [number, number];
  await writeNpy(second as string, float32([rows, 2], new Float32Array(rows * 2)));
  await fails(
    new RegExp(`matrix-2\\.npy: has the shape \\[${rows}, 2\\] where .*matrix-1\\.npy has`),
    InvalidInputError,
  );
  const holed = good.data.slice();
  holed[columns + 3] = Number.NaN;
  await writeNpy(second as string, float32(good.shape, holed));
  await fails(/matrix-2\.npy: the score in row 1, column 3 is NaN/, InvalidInputError);
  await writeFile(second as string, (await readFile(first as string)).subarray(0, 1_000));
  await fails(/matrix-2\.npy: has 1000 bytes/, DataLossError);
  await writeNpy(second as string, good);
  await rm(files.textFeatures);
  await writeFeatures(files.textFeatures, 'text_id', [{ id: 1n, feature: Float32Array.of(1) }]);
  await fails(new RegExp(`has ${rows} rows for 1 query ids`), InvalidInputError);
  await rm(files.matrixFolder, { recursive: true });
  await fails(/npy_save: cannot be read/, NotFoundError);
});

test('one model: scores are cosines, predictions the ten best in order', async () => {
  const path = join(root, 'single');
  const files = singleFiles(path, 3);
  assert.equal(files.scoreMatrix, join(path, 'npy_save/matrix-3.npy'));
  assert.equal(files.predictions, join(path, 'experiments/results/test_predictions_3.jsonl'));
  await mkdir(dirname(files.imageFeatures), { recursive: true });
  const gallery: Feature[] = Array.from({ length: 301 }, (_, i) => ({
    id: BigInt(9_000 - i),
    feature: Float32Array.of(Math.cos(i) * 2, Math.sin(i) * 2, (i % 5) / 3),
  }));
  // A copy of the first image at the end: the same score, a later place.
  gallery.push({ id: 5n, feature: (gallery[0] as Feature).feature });
  const queries = Array.from({ length: 130 }, (_, i) => ({
    id: BigInt(i),
    feature: Float32Array.of(Math.cos(i), Math.sin(i), 0.1),
  }));
  await writeFeatures(files.imageFeatures, 'image_id', gallery);
  await writeFeatures(files.textFeatures, 'text_id', queries);
  const progress: number[] = [];
  await predictSingle({ ...files, onProgress: (ranked) => progress.push(ranked) });
  assert.deepEqual(progress, [64, 128, 130]);
  const { shape, data } = await readNpy(files.scoreMatrix);
  assert.deepEqual(shape, [queries.length, gallery.length]);
  const lines = (await readFile(files.predictions, 'utf8')).trimEnd().split('\n');
  for (const [q, line] of lines.entries()) {
    const scores = data.subarray(q * gallery.length, (q + 1) * gallery.length);
    for (const [i, score] of scores.entries()) {
      const cosine = cosineOf(queries[q]?.feature, gallery[i]?.feature);
      assert.ok(Math.abs(score - cosine) < 1e-6, `query ${q}, image ${i}: ${score} is not ${cosine}`);
    }
    const order = [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number));
    const best = order.slice(0, 10).map((i) => gallery[i]?.id);
    assert.equal(line, `{"query_id": ${q}, "item_ids": [${best.join(', ')}]}`);
  }
  assert.match(lines[0] as string, /\[9000, 5, |, 9000, 5/, 'equal scores stay in the order of the file');
});

test('one model: what is refused', async () => {
  const path = join(root, 'refused');
  const files = singleFiles(path);
  await assert.rejects(predictSingle(files), NotFoundError);
  await mkdir(dirname(files.imageFeatures), { recursive: true });
  await writeFile(
    files.imageFeatures,
    '{"image_id": 1, "feature": [1, 0]}\n{"image_id": 2, "feature": [0, 0]}\n',
  );
  await writeFile(
    files.textFeatures,
    '{"text_id": 1, "feature": [1, 0]}\n{"text_id": 2, "feature": [1, 0, 0]}\n',
  );
  await assert.rejects(predictSingle(files), /img_feat\.jsonl: image_id 2: the vector is zero/);
  await writeFile(files.imageFeatures, '{"image_id": 1, "feature": [1, 0]}\n');
  await assert.rejects(predictSingle(files), /txt_feat\.jsonl:2: has 3 numbers/);
  await writeFile(files.textFeatures, '{"text_id": 1, "feature": [1, 0, 0]}\n');
  await assert.rejects(predictSingle(files), /txt_feat\.jsonl: text_id 1: 3 numbers where 2 are needed/);
  await assert.rejects(predictSingle({ ...files, topK: 0 }), InvalidInputError);
  await assert.rejects(predictSingle({ ...files, signal: AbortSignal.abort() }), CancelledError);
  assert.deepEqual(await readdir(join(path, 'npy_save')), []);
});

test("sums are numpy's: single precision, from left to right", async () => {
  const matrices = [1e8, 1, -1e8].map((score, i) => ({
    matrix: matrixOf(`m${i}`, 1, 2, Float32Array.of(score, 0.1)),
    weight: 0.7,
  }));
  const blocks = [];
  for await (const block of combineScores(matrices, { divisor: 3 })) blocks.push(block);
  // numpy: ((0.7*a + 0.7*b + 0.7*c) / 3) of float32 [1e8, 0.1], [1, 0.1], [-1e8, 0.1] = [0. , 0.07]
  const w = Math.fround(0.7);
  const p = Math.fround(w * Math.fround(0.1));
  const sum = Math.fround(Math.fround(p + p) + p);
  assert.deepEqual(blocks[0]?.scores, Float32Array.of(0, sum / 3));
  assert.deepEqual([...rankRows(blocks[0] as never, 5)][0]?.columns, [1, 0]);
  await assert.rejects(combineScores([]).next(), InvalidInputError);
  assert.throws(() => matrixOf('m', 2, 2, new Float32Array(3)), /m: 3 scores do not fill 2 rows of 2/);
});

function cosineOf(a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()): number {
  const dot = (x: Float32Array, y: Float32Array) =>
    x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
