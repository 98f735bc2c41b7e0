import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError, int32 } from '@online-cnclip/foundation';
import { type Batch, PairLoader, type PairSource } from './pair-loader.ts';

const RESOLUTION = 1;
const source: PairSource = {
  pairs: 10,
  pair: (index) => ({ imageId: `i${index}`, textId: `t${index}`, text: `${index}` }),
  image: (imageId) => Uint8Array.of(Number(imageId.slice(1))),
};

/** Pixels are the image's number and the seed of its augmentation. */
const loader = (seed = 1, given: Partial<PairSource> = {}) =>
  new PairLoader({
    source: { ...source, ...given },
    decode: async (bytes, sampleSeed) => Float32Array.of(bytes[0] as number, sampleSeed, 0),
    encode: (texts) => int32([texts.length, 1], Int32Array.from(texts, Number)),
    resolution: RESOLUTION,
    batchSize: 4,
    seed,
  });

async function collect(batches: AsyncIterable<Batch>): Promise<number[][]> {
  const result: number[][] = [];
  for await (const { images, inputIds } of batches) {
    assert.deepEqual(images.shape, [4, 3, RESOLUTION, RESOLUTION]);
    for (let i = 0; i < 4; i++)
      assert.equal(images.data[i * 3], inputIds.data[i], 'image and text belong together');
    result.push([...images.data]);
  }
  return result;
}

test('an epoch is full batches of every pair; a resumed one is the rest of the same', async () => {
  const whole = await collect(loader().batches(3));
  assert.equal(whole.length, 3);
  assert.deepEqual(await collect(loader().batches(3, 1)), whole.slice(1));
  assert.deepEqual(await collect(loader().batches(3, 1, 2)), whole.slice(1, 2));
});

test('augmentation is drawn anew for each sample of each epoch, and the same from the same seed', async () => {
  const seeds = new Set<number>();
  for (const epoch of [0, 1, 2])
    for (const batch of await collect(loader().batches(epoch)))
      for (let i = 0; i < 4; i++) seeds.add(batch[i * 3 + 1] as number);
  assert.equal(seeds.size, 36);
  assert.deepEqual(await collect(loader().batches(1)), await collect(loader().batches(1)));
  assert.notDeepEqual(await collect(loader(1).batches(1)), await collect(loader(2).batches(1)));
});

test('an image that cannot be decoded is named', async () => {
  const broken = loader(1, {
    image: (imageId) => {
      if (imageId === 'i3') throw new InvalidInputError('is not an image');
      return source.image(imageId);
    },
  });
  await assert.rejects(
    collect(broken.batches(0)),
    (error) => error instanceof InvalidInputError && error.message === 'image i3: is not an image',
  );
});

test('a data set without pairs is refused', () => {
  assert.throws(() => loader(1, { pairs: 0 }), InvalidInputError);
});
