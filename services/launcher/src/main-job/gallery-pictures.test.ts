import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Trial } from '../galleries.ts';
import { writeGalleryPictures } from './gallery-pictures.ts';

const trial = (index: string, ids: readonly number[]): Trial => ({
  test: 'seen',
  gallery: { index, items: ids.map((id) => ({ id, picture: Buffer.from(`picture ${id}`) })) },
  queries: [],
});

test('pictures lie by index and id, and those of an earlier run are gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'galleries-'));
  const many = Array.from({ length: 40 }, (_, id) => id);
  await writeGalleryPictures(folder, [trial('emoji-seen', many), trial('gallery', [1])]);
  assert.equal(readdirSync(join(folder, 'emoji-seen')).length, 40);
  assert.equal(readFileSync(join(folder, 'emoji-seen/39.png'), 'utf8'), 'picture 39');
  await writeGalleryPictures(folder, [trial('emoji-seen', [7])]);
  assert.deepEqual(readdirSync(join(folder, 'emoji-seen')), ['7.png']);
  assert.deepEqual(readdirSync(join(folder, 'gallery')), ['1.png']);
  rmSync(folder, { recursive: true });
});
