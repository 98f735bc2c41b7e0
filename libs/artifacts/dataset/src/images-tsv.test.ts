import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { readImagesTsv, writeImagesTsv } from './images-tsv.ts';
import { GOLDENS, goldenImages, temporaryFolder } from './testing/goldens.ts';

test('reads the golden images and writes the same file', async (t) => {
  const source = join(GOLDENS, 'valid_imgs.tsv');
  const rows = await Array.fromAsync(readImagesTsv(source));
  assert.deepEqual(
    rows.map(({ imageId, image }) => [imageId, image.toString('base64')]),
    [...(await goldenImages('valid'))].map(([id, base64]) => [
      id,
      Buffer.from(base64, 'base64url').toString('base64'),
    ]),
  );
  assert.equal(rows.at(-1)?.line, rows.length);
  const copy = join(await temporaryFolder(t), 'copy.tsv');
  assert.equal(await writeImagesTsv(copy, rows), rows.length);
  assert.deepEqual(await readFile(copy), await readFile(source));
});

test('names file and line of a broken line', async (t) => {
  const path = join(await temporaryFolder(t), 'train_imgs.tsv');
  const broken: Record<string, RegExp> = {
    '2 AAAA': /no tab/,
    '': /no tab/,
    'x2\tAAAA': /"x2" is not a 64-bit integer/,
    '\tAAAA': /no tab/,
    '2.0\tAAAA': /not a 64-bit integer/,
    '02\tAAAA': /not a 64-bit integer/,
    '+2\tAAAA': /not a 64-bit integer/,
    '9223372036854775808\tAAAA': /not a 64-bit integer/,
    '红\tAAAA': /not a 64-bit integer/,
    '\ufeff2\tAAAA': /not a 64-bit integer/,
    [`${'1'.repeat(3000)}\tAAAA`]: /not a 64-bit integer/,
    '2\tAAA': /image 2 is not base64/,
    '2\t': /no tab/,
    '2\tAAAA\tAAAA': /image 2 is not base64/,
    '1\tAAAA': /image 1 is in an earlier line/,
  };
  for (const [line, message] of Object.entries(broken)) {
    await writeFile(path, `1\tAAAA\n${line}\n3\tAAAA\n`);
    await assert.rejects(Array.fromAsync(readImagesTsv(path)), (error) => {
      assert.ok(error instanceof InvalidInputError);
      assert.equal(error.place, `${path}:2`);
      assert.match(error.message, message);
      assert.ok(error.message.length < 300);
      return true;
    });
  }
});

test('takes any 64-bit id, and writes no other', async (t) => {
  const path = join(await temporaryFolder(t), 'a.tsv');
  const image = Buffer.from('image');
  const ids = [0, -5, 9223372036854775807n, '-9223372036854775808'];
  await writeImagesTsv(
    path,
    ids.map((imageId) => ({ imageId, image })),
  );
  assert.deepEqual(
    (await Array.fromAsync(readImagesTsv(path))).map(({ imageId }) => imageId),
    ids.map(String),
  );
  const before = await readFile(path);
  for (const imageId of [1.5, Number.NaN, 2 ** 53, 2n ** 63n, '1e3', ''])
    await assert.rejects(writeImagesTsv(path, [{ imageId, image }]), InvalidInputError);
  await assert.rejects(writeImagesTsv(path, [{ imageId: 1, image: Buffer.alloc(0) }]), InvalidInputError);
  await assert.rejects(
    writeImagesTsv(path, [
      { imageId: 1, image },
      { imageId: '1', image },
    ]),
    InvalidInputError,
  );
  assert.deepEqual(await readFile(path), before);
});
