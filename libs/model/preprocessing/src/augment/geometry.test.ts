import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eraseRandomly, flipHorizontally, randomCrop, shiftAndScale } from './geometry.ts';
import { createRandom } from './random.ts';

describe('random geometry', () => {
  it('crops 0.9 to 1 of the area within bounds', () => {
    const random = createRandom(1);
    for (let round = 0; round < 500; round++) {
      const { left, top, width, height } = randomCrop(400, 300, random);
      assert.ok(left >= 0 && top >= 0 && left + width <= 400 && top + height <= 300);
      const share = (width * height) / (400 * 300);
      assert.ok(share > 0.89 && share < 1.01, `${share}`);
    }
  });

  it('falls back to the middle where nothing of the wanted shape fits', () => {
    const random = createRandom(1);
    assert.deepEqual(randomCrop(1000, 10, random), { left: 493, top: 0, width: 13, height: 10 });
    assert.deepEqual(randomCrop(10, 1000, random), { left: 0, top: 493, width: 10, height: 13 });
    assert.deepEqual(randomCrop(1, 1, random), { left: 0, top: 0, width: 1, height: 1 });
  });

  it('flips', () => {
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
    assert.deepEqual([...flipHorizontally({ width: 2, height: 1, data }).data], [4, 5, 6, 1, 2, 3]);
  });

  it('shifts and scales a plain picture into itself', () => {
    const data = new Uint8Array(3 * 20 * 20).fill(77);
    const moved = shiftAndScale({ width: 20, height: 20, data }, createRandom(3));
    assert.deepEqual(moved.data, data);
  });

  it('erases one rectangle of 2 to 33 % of the area', () => {
    const random = createRandom(2);
    for (let round = 0; round < 100; round++) {
      const image = new Float32Array(3 * 50 * 50).fill(1);
      eraseRandomly(image, 50, 50, random);
      const erased = image.filter((value) => value === 0).length / image.length;
      assert.ok(erased > 0.01 && erased < 0.36, `${erased}`);
    }
  });
});
