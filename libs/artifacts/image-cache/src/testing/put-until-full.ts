// A process whose files may not grow beyond a size (ulimit -f): puts until the disk takes no more, then says how it went.
import { openImageCache } from '../image-cache.ts';
import { makeImage } from './pictures.ts';

const cache = openImageCache(process.argv[2] ?? '');
const images = [await makeImage(1), await makeImage(2)];
let stored = 0;
try {
  for (; ; stored += 1) cache.put(`商品${stored}`, { state: 'OK', images, wanted: 2 });
} catch (error) {
  process.stdout.write(JSON.stringify({ stored, error: (error as Error).name }));
}
await cache.close();
