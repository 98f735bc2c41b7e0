import { InvalidInputError, type NdArray } from '@online-cnclip/foundation';

// torch's constant for bicubic interpolation (PIL and OpenCV differ).
const A = -0.75;

/**
 * Resizes ViT's position embedding `[1 + grid², width]` to another square grid, for another image resolution: the
 * class token's row stays, the grid is interpolated as Chinese-CLIP's `resize_pos_embed` does with
 * `F.interpolate(mode='bicubic', align_corners=True)`: Keys' kernel with a = -0.75, border repeated, no antialiasing.
 *
 * @param rows of the result: 1 + grid².
 * @throws InvalidInputError when either number of rows is not 1 + a square.
 */
export function resizePositionEmbedding(embedding: NdArray<'float32'>, rows: number): NdArray<'float32'> {
  const [oldRows = 0, width = 0] = embedding.shape;
  const oldGrid = gridOf(oldRows);
  const grid = gridOf(rows);
  const data = new Float32Array(rows * width);
  data.set(embedding.data.subarray(0, width));
  const taps = Array.from({ length: grid }, (_, i) => tapsOf(i, oldGrid, grid));
  for (const [y, vertical] of taps.entries())
    for (const [x, horizontal] of taps.entries()) {
      const target = (1 + y * grid + x) * width;
      for (const [row, rowWeight] of vertical)
        for (const [column, columnWeight] of horizontal) {
          const source = (1 + row * oldGrid + column) * width;
          const weight = rowWeight * columnWeight;
          for (let i = 0; i < width; i++)
            data[target + i] = (data[target + i] as number) + weight * (embedding.data[source + i] as number);
        }
    }
  return { dtype: 'float32', shape: [rows, width], data };
}

/** Whether the rows are a class token's and a square grid's. */
export const isSquareGrid = (rows: number): boolean => rows >= 2 && Number.isInteger(Math.sqrt(rows - 1));

function gridOf(rows: number): number {
  if (isSquareGrid(rows)) return Math.sqrt(rows - 1);
  throw new InvalidInputError(`a position embedding of ${rows} rows is not a class token and a square grid`, {
    place: 'visual.positional_embedding',
  });
}

/** Source indices (clamped to the border) and weights of one output index, corners aligned. */
function tapsOf(index: number, from: number, to: number): [index: number, weight: number][] {
  const position = to === 1 ? 0 : (index * (from - 1)) / (to - 1);
  const first = Math.floor(position);
  const fraction = position - first;
  const weights = [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)];
  return weights.map((weight, i) => [Math.min(Math.max(first - 1 + i, 0), from - 1), weight]);
}

const near = (x: number) => ((A + 2) * x - (A + 3)) * x * x + 1;
const far = (x: number) => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
