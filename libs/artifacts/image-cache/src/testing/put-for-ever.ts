// A process that a test kills: puts queries one after the other and says each that is on the disk.
import { openImageCache } from '../image-cache.ts';
import { makeImage } from './pictures.ts';

const [folder = '', start = '0'] = process.argv.slice(2);
const cache = openImageCache(folder);
const images = [await makeImage(1), await makeImage(2)];
for (let i = Number(start); ; i += 1) {
  cache.put(`商品${i}`, { state: 'OK', images, wanted: 2 });
  process.stdout.write(`${i}\n`);
}
