// Writes until it is killed: `writing-process.ts KIND FOLDER FIRST`. Says each number once what belongs to it is written.
import { join } from 'node:path';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { buildDataset } from '@online-cnclip/dataset';
import { float32 } from '@online-cnclip/foundation';
import { openImageCache } from '@online-cnclip/image-cache';
import { cacheImages, parameterShape, sourceOf } from './written.ts';

const [kind = '', folder = '', first = '1'] = process.argv.slice(2);

const say = (number: number): boolean => process.stdout.write(`${number}\n`);

const WRITERS: Readonly<Record<string, () => Promise<(number: number) => Promise<void>>>> = {
  async checkpoint() {
    const values = new Float32Array(parameterShape.reduce((product, size) => product * size, 1));
    return async (step) => {
      const parameters = new Map([
        ['a', float32(parameterShape, values.fill(step))],
        ['b', float32(parameterShape, values.slice())],
      ]);
      const path = join(folder, 'checkpoints/epoch_latest.pt');
      await writeCheckpoint(path, { epoch: 1, step, name: 'kill', parameters });
    };
  },
  async dataset() {
    return async (number) => {
      const options = { dataDir: sourceOf(folder, number), lmdbDir: join(folder, 'lmdb'), splits: ['valid'] };
      await buildDataset(options);
    };
  },
  async cache() {
    const cache = openImageCache(join(folder, 'cache'));
    return async (number) => {
      cache.put(`商品${number}`, { state: 'OK', wanted: 2, images: await cacheImages(number) });
    };
  },
};

const write = await WRITERS[kind]?.();
if (!write) throw new Error(`${kind} is nothing that is written`);
// Somebody listens, and may kill from now on.
say(0);
for (let number = Number(first); ; number += 1) {
  await write(number);
  say(number);
}
