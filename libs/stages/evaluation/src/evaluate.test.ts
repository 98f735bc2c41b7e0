import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ApplicationError, float32, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { evaluate, evaluateFiles, recallFromFeatures, recallOfRanks, recallScores } from './index.ts';

const golden = (name: string) =>
  fileURLToPath(new URL(`../../../../test/goldens/ranking/${name}`, import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'evaluation-'));
after(() => rm(folder, { recursive: true }));
const output = join(folder, 'score.json');

test("goldens/ranking: recall equals the reference, and the file is the evaluation script's", async () => {
  const recall = await evaluateFiles({
    reference: golden('reference.jsonl'),
    predictions: golden('expected-ensemble-top10.jsonl'),
    output,
  });
  const { queries, ...scores } = recallScores(recall);
  const expected = JSON.parse(await readFile(golden('expected-recall.json'), 'utf8'));
  assert.deepEqual(scores, expected);
  assert.equal(queries, (await readFile(golden('reference.jsonl'), 'utf8')).trim().split('\n').length);
  assert.deepEqual(JSON.parse(await readFile(output, 'utf8')), {
    success: true,
    score: expected.mean_recall,
    scoreJson: { score: expected.mean_recall, ...expected },
  });
});

const ten = (first: number) => Array.from({ length: 10 }, (_, i) => first + i);
const line = (value: object) => JSON.stringify(value);
const REFERENCE = [line({ text_id: 1, image_ids: [13] }), line({ query_id: 2, item_ids: [5, 99, 20] })];
const GOOD = [line({ text_id: 2, image_ids: ten(20) }), line({ query_id: 1, item_ids: ten(10) })];

async function evaluateLines(reference: string[], predictions: string[]) {
  const files = {
    reference: join(folder, 'reference.jsonl'),
    predictions: join(folder, 'predictions.jsonl'),
  };
  await writeFile(files.reference, reference.map((text) => `${text}\n`).join(''));
  await writeFile(files.predictions, predictions.map((text) => `${text}\n`).join(''));
  return evaluateFiles({ ...files, output });
}

test('both forms of a line, and ids beyond 2^53', async () => {
  const { recallAt1, recallAt5, recallAt10, meanRecall } = await evaluateLines(REFERENCE, GOOD);
  assert.deepEqual([recallAt1, recallAt5, recallAt10, meanRecall], [50, 100, 100, 250 / 3]);
  const large = '{"query_id": 9007199254740993, "item_ids": [9007199254740993]}';
  const near = '{"query_id": 9007199254740993, "item_ids": [9007199254740992, 1,2,3,4,5,6,7,8,9]}';
  assert.equal((await evaluateLines([large], [near])).recallAt10, 0);
  const float = /"score": 83\.3\d+, "scoreJson": \{"score": 83\.3\d+, "mean_recall": 83\.3\d+, "r1": 50\.0,/;
  await evaluateLines(REFERENCE, GOOD);
  assert.match(await readFile(output, 'utf8'), float);
});

const first = GOOD[0] as string;
const refused: [name: string, predictions: string[], message: RegExp][] = [
  ['not JSON', [first, '{"query_id": 1, '], /predictions\.jsonl:2: is not JSON/],
  ['blank', ['', first], /predictions\.jsonl:1: is not JSON/],
  ['no query', [line({ image_ids: ten(1) })], /predictions\.jsonl:1: has neither query_id nor text_id/],
  ['a text as query', [line({ query_id: '1', item_ids: ten(1) })], /:1: query_id is "1", not a whole number/],
  [
    'a fraction as query',
    [line({ query_id: 1.5, item_ids: ten(1) })],
    /:1: query_id is 1\.5, not a whole number/,
  ],
  ['no items', [line({ text_id: 1 })], /:1: image_ids of query 1 is missing, not a list/],
  ['an odd item', [line({ text_id: 1, image_ids: [4, null] })], /:1: image_ids\[1\] of query 1 is null/],
  [
    'nine items',
    [first, line({ text_id: 1, image_ids: ten(1).slice(1) })],
    /:2: query 1 has 9 predicted items/,
  ],
  ['eleven items', [line({ text_id: 1, image_ids: [0, ...ten(1)] })], /:1: query 1 has 11 predicted items/],
  [
    'an item twice',
    [line({ text_id: 1, image_ids: [...ten(1).slice(1), 7] })],
    /:1: query 1 has item 7 twice/,
  ],
  ['a query twice', [first, first], /:2: query 2 is there already \(.*predictions\.jsonl:1\)/],
  ['an unknown query', [line({ text_id: 3, image_ids: ten(1) })], /:1: query 3 is not in the reference/],
  ['a missing query', [first], /predictions\.jsonl: no prediction for query 1$/],
  ['two faults', [line({ text_id: 3, image_ids: ten(1) }), 'x'], /:1: query 3 is not in/],
];
for (const [name, predictions, message] of refused)
  test(`refused: ${name}`, async () => {
    await assert.rejects(evaluateLines(REFERENCE, predictions), (error) => {
      assert.ok(error instanceof InvalidInputError, String(error));
      assert.match(error.message, message);
      return true;
    });
    const failure = JSON.parse(await readFile(output, 'utf8'));
    assert.match(failure.errorMsg, message);
    assert.deepEqual([failure.success, failure.score, failure.scoreJson], [false, 0, {}]);
  });

test('a reference is checked too', async () => {
  const reference = REFERENCE[0] as string;
  await assert.rejects(
    evaluateLines([reference, reference], GOOD),
    /reference\.jsonl:2: query 1 is there already/,
  );
  await assert.rejects(evaluateLines([], GOOD), /reference\.jsonl: holds no query/);
  await assert.rejects(evaluateFiles({ reference: 'none', predictions: 'none' }), NotFoundError);
  const source = { place: 'reference', rankings: [{ queryId: 1n, itemIds: [], place: 'reference[0]' }] };
  await assert.rejects(evaluate(source, { place: 'predictions', rankings: [] }), ApplicationError);
  const few = {
    place: 'predictions',
    rankings: [{ queryId: 1n, itemIds: [4n, 5n], place: 'predictions[0]' }],
  };
  await assert.rejects(evaluate(source, few), /predictions\[0\]: query 1 has 2 predicted items/);
  assert.equal((await evaluate(source, few, { allowFewer: true })).recallAt10, 0);
});

test('recall from ranks and from features', async () => {
  const ranks = [0, 4, 5, 9, 10, undefined];
  const recall = recallOfRanks(ranks, 100);
  assert.deepEqual([recall.recallAt1, recall.recallAt5, recall.recallAt10], [100 / 6, 200 / 6, 400 / 6]);
  assert.throws(() => recallOfRanks([]), InvalidInputError);
  // Items at 0, 1, ... degrees: the neighbours of a query's angle are its ranking.
  const angles = Array.from({ length: 80 }, (_, degrees) => degrees);
  const at = (all: number[]) =>
    float32(
      [all.length, 2],
      Float32Array.from(
        all.flatMap((d) => [Math.cos((d * Math.PI) / 180) * 3, Math.sin((d * Math.PI) / 180) * 3]),
      ),
    );
  const request = {
    galleryIds: angles.map((degrees) => `image-${degrees}`),
    galleryFeatures: at(angles),
    queryFeatures: at([10.1, 20.1, 30.1]),
    relevantIds: [['image-10'], ['image-70', 'image-22'], ['image-50']],
  };
  assert.deepEqual(await recallFromFeatures(request), {
    recallAt1: 100 / 3,
    recallAt5: 200 / 3,
    recallAt10: 200 / 3,
    meanRecall: (100 / 3 + 200 / 3 + 200 / 3) / 3,
    queries: 3,
    gallery: 80,
  });
  await assert.rejects(
    recallFromFeatures({ ...request, galleryIds: ['one'] }),
    /galleryFeatures: has the shape \[80,2\]/,
  );
});
