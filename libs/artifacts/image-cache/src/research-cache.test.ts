import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CancelledError, NotFoundError } from '@online-cnclip/foundation';
import sharp from 'sharp';
import { type ImageCache, openImageCache } from './image-cache.ts';
import { importResearchCache } from './research-cache.ts';
import { drawPicture } from './testing/pictures.ts';

describe('import of a research cache', () => {
  let root: string;
  let folder: string;
  let cache: ImageCache;

  const write = (path: string, content: Buffer | string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'research-cache-'));
    folder = join(root, 'crawled');
    mkdirSync(folder);
    cache = openImageCache(join(root, 'cache'));
  });
  afterEach(async () => {
    await cache.close();
    rmSync(root, { recursive: true });
  });

  it('takes images, and no placeholder, fail picture, tiny or damaged file', async () => {
    const fail = await drawPicture(99);
    const first = await drawPicture(1);
    write('valid/红色连衣裙/1.jpg', first);
    write('valid/红色连衣裙/0_2.jpg', await drawPicture(98));
    write('valid/红色连衣裙/3.jpg', fail);
    write('valid/红色连衣裙/4.jpg', (await drawPicture(4)).subarray(0, 2000));
    write('valid/红色连衣裙/notes.txt', 'no image');
    write('test/杯子/1.jpg', fail);
    write('test/杯子/2.jpg', Buffer.alloc(499, 1));
    write('test/杯子/10.jpg', await drawPicture(10));
    write(
      'test/杯子/5.jpg',
      await sharp(await drawPicture(5))
        .resize(100, 50)
        .png()
        .toBuffer(),
    );
    write('test/空/1.jpg', fail);
    write('mark_log/mark.txt', '红色连衣裙: 2\n杯子: 1\n');
    write('mark_log/unurl.txt', '空: 1\n');
    const report = await importResearchCache(folder, cache);
    assert.deepEqual(
      { ...report, unreadable: report.unreadable.map(({ path }) => path) },
      {
        queries: 2,
        images: 3,
        placeholders: 1,
        tooSmall: 1,
        failPictures: 3,
        marks: 3,
        unreadable: [join(folder, 'valid/红色连衣裙/4.jpg')],
      },
    );
    assert.deepEqual(
      cache.images('红色连衣裙').map(({ jpeg }) => jpeg),
      [first],
    );
    assert.deepEqual(
      cache.images('杯子').map(({ rank }) => rank),
      [5, 10],
    );
    const { width, height, format } = await sharp(cache.images('杯子')[0]?.jpeg).metadata();
    assert.deepEqual([width, height, format], [224, 224, 'jpeg']);
    assert.equal(cache.get('空'), undefined);
  });

  it('changes nothing when it is done again', async () => {
    write('test/杯子/1.jpg', await drawPicture(1));
    write('test/杯子/2.jpg', await drawPicture(2));
    await importResearchCache(folder, cache);
    const before = cache.images('杯子');
    await importResearchCache(folder, cache);
    assert.deepEqual(cache.images('杯子'), before);
  });

  it('counts and names what cannot be read, and imports the rest', async () => {
    write('test/杯子/1.jpg', await drawPicture(1));
    mkdirSync(join(folder, 'test/杯子/2.jpg'), { recursive: true });
    mkdirSync(join(folder, 'test', '长'.repeat(85)), { recursive: true });
    mkdirSync(join(folder, 'test', '！'), { recursive: true });
    const { unreadable, images } = await importResearchCache(folder, cache);
    assert.equal(images, 1);
    assert.deepEqual(unreadable.map(({ path }) => path).sort(), [
      join(folder, 'test/杯子/2.jpg'),
      join(folder, 'test/！'),
    ]);
  });

  it('refuses a folder that is no such cache, and stops when told', async () => {
    await assert.rejects(importResearchCache(folder, cache), NotFoundError);
    write('test/杯子/1.jpg', await drawPicture(1));
    await assert.rejects(importResearchCache(folder, cache, AbortSignal.abort()), CancelledError);
  });
});
