// Decoding a JPEG and resizing it to 224 x 224 as Pillow does, on one thread.
import { join } from 'node:path';
import { decodeImage, resizeRgb } from '@online-cnclip/preprocessing';
import sharp from 'sharp';
import { folder, rateOf, serve } from '../serve.ts';
import { writePhotos } from '../work/photos.ts';

sharp.concurrency(1);
const photos = await writePhotos(join(folder, 'photos'));
await serve(() =>
  rateOf(photos.length, async () => {
    for (const photo of photos) resizeRgb(await decodeImage(photo), 224, 224);
  }),
);
