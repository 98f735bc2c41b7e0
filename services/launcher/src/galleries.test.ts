import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import sharp from 'sharp';
import { readEmojiCatalogue } from './emoji/catalogue.ts';
import { splitEmoji } from './emoji/splits.ts';
import { folderTrials, heldOutTrials } from './galleries.ts';

const catalogue = readEmojiCatalogue();
const splits = splitEmoji(catalogue);
const svg =
  '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle cx="4" cy="4" r="4"/></svg>';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gallery-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the held-out tests have galleries of their own', async () => {
  const [seen, unseen] = await heldOutTrials(splits);
  assert.ok(seen && unseen);
  assert.equal(seen.gallery.items.length, splits.seen.length);
  assert.equal(unseen.queries.length, splits.unseen.length);
  const ids = new Set(seen.gallery.items.map(({ id }) => id));
  assert.ok(seen.queries.every(({ itemId }) => ids.has(itemId)));
  assert.ok(unseen.gallery.items.every(({ id }) => !ids.has(id)));
  assert.notEqual(seen.gallery.index, unseen.gallery.index);
});

test('a folder is one gallery with the queries of both tests', async () => {
  const [known] = splits.train;
  const [unknown] = splits.unseen;
  assert.ok(known && unknown);
  copyFileSync(known.emoji.pictures.twitter, join(folder, `${known.emoji.id.toUpperCase()}-FE0F.PNG`));
  writeFileSync(join(folder, `${unknown.emoji.id}.svg`), svg);
  writeFileSync(join(folder, '1f44b-1f3fb.svg'), svg);
  writeFileSync(join(folder, 'LICENSE.txt'), 'MIT');
  writeFileSync(join(folder, '1f602.png'), 'no picture');
  const { trials, skipped } = await folderTrials(folder, catalogue, splits);
  assert.equal(skipped.length, 2);
  assert.match(skipped.join(), /LICENSE\.txt: not named.*1f602\.png: cannot be read as a picture/);
  const [seen, unseen] = trials;
  assert.ok(seen && unseen);
  assert.equal(seen.gallery.items.length, 3);
  assert.equal(unseen.gallery.items, seen.gallery.items);
  assert.deepEqual(
    seen.queries.map(({ text }) => text),
    [known.emoji.label],
  );
  assert.deepEqual(
    unseen.queries.map(({ text }) => text),
    [unknown.emoji.label],
  );
  for (const { picture } of seen.gallery.items) {
    const { format, width, hasAlpha } = await sharp(picture).metadata();
    assert.deepEqual([format, width, hasAlpha], ['png', 64, false]);
  }
});

test('a folder without known emoji, with one emoji twice, or not there is refused by name', async () => {
  writeFileSync(join(folder, 'cat.png'), svg);
  await assert.rejects(folderTrials(folder, catalogue, splits), InvalidInputError);
  writeFileSync(join(folder, '1f600.svg'), svg);
  writeFileSync(join(folder, '1F600.png'), svg);
  await assert.rejects(
    folderTrials(folder, catalogue, splits),
    /1f600\.svg: shows the same emoji as 1F600\.png/,
  );
  await assert.rejects(folderTrials(join(folder, 'none'), catalogue, splits), NotFoundError);
});
