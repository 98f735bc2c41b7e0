import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { MAX_TEXT_BYTES } from './limits.ts';
import { GOLDENS, temporaryFolder } from './testing/goldens.ts';
import { type ReadTextsOptions, readTextsJsonl, writeTextsJsonl } from './texts-jsonl.ts';

test('reads the golden texts and writes the same file', async (t) => {
  for (const split of ['valid', 'test']) {
    const source = join(GOLDENS, `${split}_texts.jsonl`);
    const rows = await Array.fromAsync(readTextsJsonl(source));
    const lines = (await readFile(source, 'utf8')).trim().split('\n');
    assert.deepEqual(
      rows.map(({ textId, text, imageIds }) => ({
        text_id: Number(textId),
        text,
        image_ids: imageIds.map(Number),
      })),
      lines.map((line) => JSON.parse(line)),
    );
    const copy = join(await temporaryFolder(t), 'copy.jsonl');
    assert.equal(await writeTextsJsonl(copy, rows), rows.length);
    assert.deepEqual(await readFile(copy), await readFile(source));
  }
});

test('keeps ids that a double cannot hold', async (t) => {
  const path = join(await temporaryFolder(t), 'texts.jsonl');
  const text = { textId: '9007199254740993', text: 'a "b"\n', imageIds: ['9223372036854775807', '1'] };
  await writeTextsJsonl(path, [text]);
  assert.deepEqual(await Array.fromAsync(readTextsJsonl(path)), [{ ...text, line: 1 }]);
});

const BROKEN: readonly (readonly [line: string | Buffer, message: RegExp])[] = [
  ['', /not JSON/],
  ['{"text_id": 1, "text": "a", "image_ids": [1]', /not JSON/],
  ["{'text_id': 1}", /not JSON/],
  ['[1]', /not a JSON object/],
  ['null', /not a JSON object/],
  ['{"text": "a", "image_ids": [1]}', /no field text_id/],
  ['{"text_id": 1, "image_ids": [1]}', /no field text$/],
  ['{"text_id": 1, "text": "a"}', /no field image_ids/],
  ['{"text_id": "1", "text": "a", "image_ids": [1]}', /text_id holds "1", not an integer/],
  ['{"text_id": true, "text": "a", "image_ids": [1]}', /text_id holds "true"/],
  ['{"text_id": 1.5, "text": "a", "image_ids": [1]}', /"1.5" is not a 64-bit integer/],
  ['{"text_id": 9223372036854775808, "text": "a", "image_ids": [1]}', /not a 64-bit integer/],
  ['{"text_id": 1e30, "text": "a", "image_ids": [1]}', /not a 64-bit integer/],
  ['{"text_id": 1, "text": 5, "image_ids": [1]}', /text is "5", not a string/],
  ['{"text_id": 1, "text": null, "image_ids": [1]}', /not a string/],
  ['{"text_id": 1, "text": "a", "image_ids": 1}', /image_ids is "1", not a list/],
  ['{"text_id": 1, "text": "a", "image_ids": [[1]]}', /image_ids holds "\[1\]", not an integer/],
  ['{"text_id": 1, "text": "a", "image_ids": [1, 7]}', /there is no image 7/],
  ['{"text_id": 1, "text": "\\ud800", "image_ids": [1]}', /surrogate/],
  [`{"text_id": 1, "text": "${'a'.repeat(MAX_TEXT_BYTES + 1)}", "image_ids": [1]}`, /longer than/],
  [Buffer.from('7b22ff', 'hex'), /not UTF-8/],
];

test('names file and line of a broken line', async (t) => {
  const path = join(await temporaryFolder(t), 'train_texts.jsonl');
  const whole = '{"text_id": 1, "text": "a", "image_ids": [1]}\n';
  const options: ReadTextsOptions = { requireImageIds: true, hasImage: (id) => id === '1' };
  for (const [line, message] of BROKEN) {
    await writeFile(path, Buffer.concat([Buffer.from(whole), Buffer.from(line), Buffer.from(`\n${whole}`)]));
    await assert.rejects(Array.fromAsync(readTextsJsonl(path, options)), (error) => {
      assert.ok(error instanceof InvalidInputError, String(error));
      assert.equal(error.place, `${path}:2`);
      assert.match(error.message, message);
      return true;
    });
  }
});

test('needs image ids only where they are asked for', async (t) => {
  const path = join(await temporaryFolder(t), 'test_texts.jsonl');
  await writeFile(path, '{"text_id": 1, "text": "a", "more": {}}');
  assert.deepEqual(await Array.fromAsync(readTextsJsonl(path)), [
    { textId: '1', text: 'a', imageIds: [], line: 1 },
  ]);
});
