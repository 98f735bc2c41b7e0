import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeImage } from '../decode-image.ts';
import { difference, readGolden, readGoldenJson, readGoldenTensors } from '../testing/goldens.ts';
import { OPERATIONS, type Operation, type OperationName } from './operations.ts';
import { ORIGINAL_POLICY } from './policy.ts';

/** In levels; measured: 0. The reference's own tolerance is 0.5. */
const MEAN_TOLERANCE = 0.01;

const { width, height, data } = await decodeImage(readGolden('augmentation/source.png'));
const source = { width, height, data: data as Uint8Array };

describe("policy 'original'", () => {
  it('is the golden one', () => {
    const golden =
      readGoldenJson<{ op: string; prob: number; magnitude: number }[][]>('augmentation/policy.json');
    const ours = ORIGINAL_POLICY.map((steps) =>
      steps.map(({ name, probability, magnitude }) => ({ op: name, prob: probability, magnitude })),
    );
    assert.deepEqual(ours, golden);
  });

  for (const [key, { bytes }] of readGoldenTensors('augmentation/expected.safetensors'))
    it(`${key} is Pillow's`, () => {
      const [name, magnitude, argument] = key.split('|') as [OperationName, string, string];
      const operation: Operation = OPERATIONS[name];
      if (operation.argument) {
        const expected = operation.isSigned ? Math.abs(Number(argument)) : Number(argument);
        assert.ok(Math.abs(operation.argument(Number(magnitude)) - expected) < 1e-9);
      }
      const before = Buffer.from(source.data);
      const { mean } = difference(operation.apply(source, Number(argument)).data, bytes);
      assert.ok(mean <= MEAN_TOLERANCE, `mean ${mean}`);
      assert.deepEqual(Buffer.from(source.data), before, 'the source stays as it is');
    });
});

describe('operations outside the policy', () => {
  it('move along their own axis and leave the rest to the fill colour', () => {
    const shiftRight = OPERATIONS.TranslateXRel.apply(source, -0.5);
    const shiftDown = OPERATIONS.TranslateYRel.apply(source, -0.5);
    const pixel = (values: Uint8Array, x: number, y: number) => [
      ...values.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
    ];
    const middle = [Math.floor(width / 2), Math.floor(height / 2)] as const;
    assert.deepEqual(pixel(shiftRight.data, middle[0], 3), pixel(source.data, middle[0] - width / 2, 3));
    assert.deepEqual(pixel(shiftRight.data, 0, 3), [124, 116, 104]);
    assert.deepEqual(pixel(shiftDown.data, 3, middle[1]), pixel(source.data, 3, middle[1] - height / 2));
    assert.deepEqual(pixel(shiftDown.data, 3, 0), [124, 116, 104]);
    assert.deepEqual(OPERATIONS.ShearY.apply(source, 0).data, source.data);
  });

  it('change levels by definition', () => {
    const image = { width: 2, height: 1, data: Uint8Array.of(0, 100, 127, 128, 200, 255) };
    assert.deepEqual([...OPERATIONS.SolarizeAdd.apply(image, 110).data], [110, 210, 237, 128, 200, 255]);
    assert.deepEqual([...OPERATIONS.Brightness.apply(image, 0.5).data], [0, 50, 63, 64, 100, 127]);
    assert.deepEqual(OPERATIONS.PosterizeOriginal.apply(image, 8), image);
  });
});
