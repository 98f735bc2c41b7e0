import type { NdArray } from '@online-cnclip/foundation';
import { sizeOf } from '@online-cnclip/foundation';
import { dropoutSpecs, type ModelConfig } from '@online-cnclip/network';
import type { TensorSpec } from '@online-cnclip/runtime';

/** A probability is drawn in steps of 1 / 65536: two draws from each 32-bit number. */
const DRAW_RANGE = 2 ** 16;

/** Draws set aside for a query's keys and a head's queries: more than any text has tokens, and even. */
const DRAWS_PER_QUERY = 2 ** 10;

export interface DropoutDraw {
  readonly seed: number;
  /** Updates made so far. */
  readonly step: number;
}

/**
 * Masks for the dropout of one step. Each element depends on the seed, the step, its pair's row in the global batch and its
 * place in the text tower alone: whoever computes the row, with whatever others and padded to whatever length,
 * draws the same.
 *
 * @param rows of the global batch, one per text. @param length of the texts, in tokens.
 * @param allocate gives the bytes of a mask, which are all written
 */
export function dropoutMasks(
  config: ModelConfig,
  rows: readonly number[],
  length: number,
  draw: DropoutDraw,
  allocate: (name: string, length: number) => Uint8Array = (_, size) => new Uint8Array(size),
): Record<string, NdArray<'bool'>> {
  const { hidden, attention } = dropoutSpecs(config, rows.length);
  const masks: Record<string, NdArray<'bool'>> = {};
  if (hidden)
    masks[hidden.name] = fill(hidden, length, rows, allocate, (site, row, target) =>
      drawRun(target, 0, keyOf(draw, site, row, HIDDEN), config.text.hiddenDropout),
    );
  if (attention)
    masks[attention.name] = fill(attention, length, rows, allocate, (site, row, target) => {
      const key = keyOf(draw, site, row, ATTENTION);
      const queries = target.length / length;
      for (let query = 0; query < queries; query++) {
        const [head, position] = [Math.floor(query / length), query % length];
        const first = (head * DRAWS_PER_QUERY + position) * DRAWS_PER_QUERY;
        const keys = { ...target, start: target.start + query * length, length };
        drawRun(keys, first, key, config.text.attentionDropout);
      }
    });
  return masks;
}

const HIDDEN = 0;
const ATTENTION = 1;

/** A part of a mask. Not a view: there are thousands per step, and V8 keeps account of each. */
interface Part {
  readonly data: Uint8Array;
  readonly start: number;
  readonly length: number;
}

type DrawSite = (site: number, row: number, target: Part) => void;

/** A mask `[sites, rows, ...]`, of which each site's part of a row is drawn by itself. */
function fill(
  spec: TensorSpec,
  length: number,
  rows: readonly number[],
  allocate: (name: string, length: number) => Uint8Array,
  drawSite: DrawSite,
): NdArray<'bool'> {
  const shape = spec.shape.map((size) => (typeof size === 'number' ? size : length));
  const data = allocate(spec.name, sizeOf(shape));
  const sites = shape[0] as number;
  const size = data.length / (sites * rows.length);
  for (let site = 0; site < sites; site++)
    rows.forEach((row, i) => {
      drawSite(site, row, { data, start: (site * rows.length + i) * size, length: size });
    });
  return { dtype: 'bool', shape, data };
}

interface DrawKey {
  readonly offset: number;
  readonly stride: number;
}

function keyOf({ seed, step }: DropoutDraw, site: number, row: number, kind: number): DrawKey {
  return { offset: mixSeed(seed, step, site, row, kind), stride: mixSeed(kind, row, site, step, seed) | 1 };
}

/** Elements `first`, `first` + 1, ... of the sequence that a key stands for; `first` is even. */
function drawRun(
  { data, start, length }: Part,
  first: number,
  { offset, stride }: DrawKey,
  rate: number,
): void {
  const threshold = Math.round(rate * DRAW_RANGE);
  for (let i = 0; i < length; i += 2) {
    const bits = finalize((Math.imul((first + i) >>> 1, stride) + offset) | 0);
    data[start + i] = (bits & 0xffff) >= threshold ? 1 : 0;
    if (i + 1 < length) data[start + i + 1] = bits >>> 16 >= threshold ? 1 : 0;
  }
}

/** A 32-bit integer with its bits mixed (lowbias32 of Wellons' hash prospector, 2018). */
function finalize(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** One 32-bit seed out of several numbers. */
function mixSeed(...parts: readonly number[]): number {
  let hash = 0;
  for (const part of parts) hash = finalize(hash ^ part) + 0x9e3779b9;
  return hash | 0;
}
