import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { emojiId, readEmojiCatalogue } from './catalogue.ts';
import { PICTURE_SIDE, renderPicture } from './pictures.ts';
import { imageId, textId, writeSplitFiles } from './split-files.ts';
import { LABEL_TEXTS, splitEmoji, TAG_TEXTS } from './splits.ts';

const catalogue = readEmojiCatalogue();
const splits = splitEmoji(catalogue);
const byId = new Map(catalogue.map((emoji) => [emoji.id, emoji]));

test('the catalogue joins labels and pictures over variation selectors', () => {
  assert.ok(catalogue.length > 1300 && catalogue.length < 1950, `${catalogue.length} emoji`);
  assert.equal(emojiId('2764-FE0F'), '2764');
  const heart = byId.get('2764');
  assert.equal(heart?.label, '红心');
  assert.match(heart?.pictures.google ?? '', /google\/64\/2764-fe0f\.png$/);
  assert.match(heart?.pictures.twitter ?? '', /twitter\/64\/2764-fe0f\.png$/);
  assert.equal(new Set(catalogue.map(({ label }) => label)).size, catalogue.length);
});

test('skin tones and pictures that are drawn twice are left out', () => {
  assert.equal(byId.has('1f3fb'), false);
  // France and Clipperton fly one flag.
  assert.equal(byId.has('1f1eb-1f1f7'), !byId.has('1f1e8-1f1f5'));
});

test('the women, men and persons of one emoji are one concept', () => {
  const farmers = ['1f9d1-200d-1f33e', '1f468-200d-1f33e', '1f469-200d-1f33e'].map(
    (id) => byId.get(id)?.concept,
  );
  assert.deepEqual(new Set(farmers).size, 1);
  assert.notEqual(farmers[0], byId.get('1f33e')?.concept);
});

test('the splits have the sizes they are named for', () => {
  const known = catalogue.length - splits.unseen.length;
  assert.ok(Math.abs(splits.unseen.length / catalogue.length - 1 / 5) < 0.005);
  assert.equal(splits.seen.length, Math.round(known / 10));
  assert.equal(splits.valid.length, Math.round(known / 20));
  assert.equal(splits.train.length, known);
});

test('training meets no concept and no label of the unseen emoji', () => {
  const unseenConcepts = new Set(splits.unseen.map(({ emoji }) => emoji.concept));
  const unseenLabels = new Set(splits.unseen.map(({ emoji }) => emoji.label));
  for (const { emoji, texts } of splits.train) {
    assert.equal(unseenConcepts.has(emoji.concept), false, emoji.label);
    for (const text of texts) assert.equal(unseenLabels.has(text), false, text);
  }
});

test('every training picture has as many texts, mostly its label', () => {
  for (const { emoji, texts } of splits.train) {
    assert.equal(texts.length, LABEL_TEXTS + TAG_TEXTS);
    assert.ok(texts.filter((text) => text === emoji.label).length >= LABEL_TEXTS);
    assert.ok(texts.every((text) => text === emoji.label || emoji.tags.includes(text)));
  }
});

test('training meets the emoji of the seen test, never in the rendering that is tested', () => {
  const trained = new Map(splits.train.map((item) => [item.emoji.id, item]));
  for (const split of [splits.seen, splits.valid])
    for (const { emoji, renderings } of split) {
      assert.deepEqual(renderings, ['twitter']);
      assert.deepEqual(trained.get(emoji.id)?.renderings, ['google']);
    }
  const both = new Set(splits.seen.map(({ emoji }) => emoji.id));
  assert.ok(splits.valid.every(({ emoji }) => !both.has(emoji.id)));
});

test('the splits do not depend on the order of the emoji', () => {
  const ids = (which: typeof splits) => which.unseen.map(({ emoji }) => emoji.id).sort();
  assert.deepEqual(ids(splitEmoji([...catalogue].reverse())), ids(splits));
});

test('the files hold every text and picture under ids that agree', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'splits-'));
  try {
    const some = splitEmoji(catalogue.slice(0, 60));
    const counts = await writeSplitFiles(folder, some);
    const lines = (name: string) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n');
    const images = new Map(lines('train_imgs.tsv').map((line) => line.split('\t') as [string, string]));
    const texts = lines('train_texts.jsonl').map((line) => JSON.parse(line));
    assert.equal(counts.train.images, images.size);
    assert.equal(counts.train.texts, texts.length);
    const [first] = some.train;
    assert.ok(first);
    const png = Buffer.from(images.get(String(imageId(first.emoji, 'google'))) ?? '', 'base64url');
    assert.deepEqual(png, await renderPicture(readFileSync(first.emoji.pictures.google), 'test'));
    assert.deepEqual(texts[0], {
      text_id: textId(first.emoji, 0),
      text: first.texts[0],
      image_ids: first.renderings.map((rendering) => imageId(first.emoji, rendering)),
    });
    assert.equal(new Set(texts.map(({ text_id }) => text_id)).size, texts.length);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('pictures become opaque squares on white, SVG as well', async () => {
  const svg = Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="20"><rect width="10" height="20" fill="red"/></svg>',
  );
  const { data, info } = await sharp(await renderPicture(svg, 'test'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height, info.channels], [PICTURE_SIDE, PICTURE_SIDE, 3]);
  assert.deepEqual([...data.subarray(0, 3)], [255, 255, 255]);
  const centre = 3 * (32 * PICTURE_SIDE + 32);
  assert.deepEqual([...data.subarray(centre, centre + 3)], [255, 0, 0]);
  await assert.rejects(
    renderPicture(Buffer.from('no picture'), 'x.png'),
    /x\.png: cannot be read as a picture/,
  );
});
