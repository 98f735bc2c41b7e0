// Reference: the losses written out over plain numbers, over what meets only.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { float32, int32 } from '@online-cnclip/foundation';
import {
  contrastiveLoss,
  diagonalAccuracy,
  type LossKind,
  pairKeysSpec,
  pairMask,
} from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';

const TOLERANCE = 1e-5;
const NONE = [-1, -1] as const;

const runtime = createOnnxRuntime({ threads: 1 });
after(() => runtime.dispose());

const logits = (size: number): number[][] =>
  Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => 20 * Math.sin(3 * i + 7 * j + i * j) + (i === j ? 5 : 0)),
  );

async function masked(kind: LossKind, rows: number[][], keys: readonly (readonly [number, number])[]) {
  const size = rows.length;
  const program = await runtime.prepare({
    name: 'masked-loss',
    inputs: [{ name: 'logits', dtype: 'float32', shape: [size, size] }, pairKeysSpec(size)],
    build: ({ logits, pair_keys }) => {
      assert.ok(logits && pair_keys);
      const mask = pairMask(pair_keys);
      return { loss: contrastiveLoss(kind, logits, mask), accuracy: diagonalAccuracy(logits, mask) };
    },
  });
  const { loss, accuracy } = await program.run({
    logits: float32([size, size], Float32Array.from(rows.flat())),
    pair_keys: int32([size, 2], Int32Array.from(keys.flat())),
  });
  await program.dispose();
  return { loss: Number(loss?.data[0]), accuracy: Number(accuracy?.data[0]) };
}

/** Mean cross entropy of the rows that are pairs, each over the columns that it meets. */
function expectedLoss(
  kind: LossKind,
  rows: number[][],
  keys: readonly (readonly [number, number])[],
): number {
  const meets = (i: number, j: number) => {
    const [[a = 0, b = 0] = [], [c = 0, d = 0] = []] = [keys[i], keys[j]];
    return a >= 0 && c >= 0 && (i === j || (a !== c && b !== d));
  };
  const all = rows.map((_, i) => i);
  const one = (at: (i: number, j: number) => number) => {
    const priorOf = (i: number, j: number) => {
      const column = all.filter((k) => meets(k, j));
      const sum = column.reduce((total, k) => total + Math.exp(at(k, j) / 1000), 0);
      return (Math.exp(at(i, j) / 1000) / sum) * column.length;
    };
    const value = (i: number, j: number) => at(i, j) * (kind === 'dsl' ? priorOf(i, j) : 1);
    const pairs = all.filter((i) => meets(i, i));
    const losses = pairs.map((i) => {
      const sum = all.filter((j) => meets(i, j)).reduce((total, j) => total + Math.exp(value(i, j)), 0);
      return Math.log(sum) - value(i, i);
    });
    return losses.reduce((a, b) => a + b, 0) / pairs.length;
  };
  const both = one((i, j) => rows[i]?.[j] as number) + one((i, j) => rows[j]?.[i] as number);
  return kind === 'dsl' ? both : both / 2;
}

for (const kind of ['dsl', 'clip'] as const) {
  for (const [what, keys] of [
    ['rows that are no pairs', [[0, 0], NONE, [2, 2], [3, 3], NONE]],
    [
      'the same text twice and the same image twice',
      [
        [0, 0],
        [1, 0],
        [2, 2],
        [2, 3],
        [4, 4],
      ],
    ],
    ['both at once', [[0, 0], [1, 0], NONE, [0, 3], [4, 4]]],
    ['one pair only', [NONE, NONE, [5, 9], NONE, NONE]],
  ] as const)
    test(`${kind} with ${what}`, async () => {
      const rows = logits(keys.length);
      const expected = expectedLoss(kind, rows, keys);
      const { loss } = await masked(kind, rows, keys);
      assert.ok(
        Math.abs(loss - expected) <= TOLERANCE * Math.max(1, expected),
        `${loss}, ${expected} expected`,
      );
    });

  test(`${kind} of a batch without its empty rows is the same`, async () => {
    const rows = logits(6);
    const few = [0, 2, 3].map((i) => [0, 2, 3].map((j) => rows[i]?.[j] as number));
    const keys = rows.map((_, i) => ([0, 2, 3].includes(i) ? ([i, i] as const) : NONE));
    const whole = await masked(kind, rows, keys);
    const small = await masked(
      kind,
      few,
      few.map((_, i) => [i, i] as const),
    );
    assert.ok(Math.abs(whole.loss - small.loss) <= 1e-6 * Math.max(1, small.loss));
    assert.equal(whole.accuracy, small.accuracy);
  });
}

test('a duplicate that scores higher than the row itself is no miss', async () => {
  const rows = [
    [1, 5, 0],
    [5, 1, 0],
    [0, 0, 1],
  ];
  assert.equal(
    (
      await masked('clip', rows, [
        [0, 7],
        [1, 7],
        [2, 8],
      ])
    ).accuracy,
    1,
  );
  assert.ok(
    Math.abs(
      (
        await masked('clip', rows, [
          [0, 6],
          [1, 7],
          [2, 8],
        ])
      ).accuracy -
        1 / 3,
    ) < 1e-6,
  );
});
