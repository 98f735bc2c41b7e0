import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildDataset } from '@online-cnclip/dataset';
import { NotFoundError } from '@online-cnclip/foundation';
import { pictureDatasets } from './picture-dataset.ts';
import { joinSources } from './picture-sources.ts';

const PNG = Buffer.from('\x89PNG\r\n\x1a\nnot much of a picture', 'latin1');

test('a data set’s images are pictures by their ids; other bytes than an image’s are none', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'pictures-'));
  try {
    const lines = [[12, PNG] as const, [13, Buffer.from('<script>')] as const];
    const tsv = lines.map(([id, bytes]) => `${id}\t${padded(bytes.toString('base64url'))}\n`);
    await writeFile(join(dataDir, 'test_imgs.tsv'), tsv.join(''));
    await writeFile(join(dataDir, 'test_texts.jsonl'), '{"text_id": 1, "text": "猫", "image_ids": [12]}\n');
    await buildDataset({ dataDir, splits: ['test'] });
    const pictures = joinSources([pictureDatasets(new Map([['emoji', join(dataDir, 'lmdb/test')]]))]);
    assert.deepEqual([pictures.knows('emoji'), pictures.knows('other')], [true, false]);
    const picture = await pictures.read('emoji', 12n);
    assert.ok(picture && PNG.equals(picture.bytes));
    assert.equal(picture.mediaType, 'image/png');
    for (const id of [13n, 14n, -1n]) assert.equal(await pictures.has('emoji', id), false, String(id));
    assert.equal(await pictures.read('other', 12n), undefined);
    pictures.close();
    assert.throws(() => pictureDatasets(new Map([['emoji', join(dataDir, 'nowhere')]])), NotFoundError);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

/** Python's base64 ends with padding. */
const padded = (text: string): string => text.padEnd(Math.ceil(text.length / 4) * 4, '=');
