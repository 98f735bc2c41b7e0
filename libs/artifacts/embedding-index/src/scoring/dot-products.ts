import { InvalidInputError } from '@online-cnclip/foundation';
import { MAX_QUERIES_PER_PASS } from '../limits.ts';
import { KERNEL_BASE64 } from './kernel-binary.ts';

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What dot-products.wat exports. */
interface Kernel {
  readonly memory: Memory;
  dotProducts(
    rows: number,
    rowsEnd: number,
    stride: number,
    queries: number,
    queriesEnd: number,
    scores: number,
    scoreStride: number,
  ): void;
}

/** TypeScript describes WebAssembly in its browser library only; this is what is used of it. */
interface WebAssemblyApi {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;

const PAGE_BYTES = 65_536;
const NUMBER_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Numbers in one SIMD register, and rows that the kernel takes at a time. */
const LANES = 4;

/** Queries that it takes at a time: beside an odd one it computes something that nobody reads. */
const QUERIES = 2;

/** Of the rows scored at a time: with the queries they stay in the second-level cache. */
const BLOCK_BYTES = 256 * 1024;

const kernel = new Instance(new Module(Buffer.from(KERNEL_BASE64, 'base64'))).exports as Kernel;

/** Numbers from one stored row to the next: the dimension, with zeros up to whole registers. */
export const strideOf = (dimension: number): number => Math.ceil(dimension / LANES) * LANES;

/** Rows that one call of {@link dotProducts} takes at most. */
export function rowsPerBlock(stride: number): number {
  const rows = Math.floor(BLOCK_BYTES / (stride * NUMBER_BYTES));
  return Math.max(LANES, rows - (rows % LANES));
}

/** Scores of a block: of query q and row r at `q * stride + r`. Overwritten by the next call. */
export interface ScoreBlock {
  readonly scores: Float32Array;
  readonly stride: number;
}

/**
 * Dot products of each query with each row. The same query and row give the same bits, whatever is beside them.
 *
 * @param rows `[rows, stride]`, at most {@link rowsPerBlock} of them.
 * @param queries `[queries, stride]`, at most {@link MAX_QUERIES_PER_PASS} of them.
 * @param stride a multiple of 4 numbers, see {@link strideOf}.
 */
export function dotProducts(rows: Float32Array, queries: Float32Array, stride: number): ScoreBlock {
  const queryCount = queries.length / stride;
  const scoreStride = rowsPerBlock(stride);
  if (queryCount > MAX_QUERIES_PER_PASS || rows.length > scoreStride * stride)
    throw new InvalidInputError(`${queryCount} queries and ${rows.length / stride} rows are over one block`);
  const pairedQueries = Math.ceil(queryCount / QUERIES) * QUERIES;
  const rowsAt = pairedQueries * stride;
  const scoresAt = rowsAt + scoreStride * stride;
  const memory = memoryOf(scoresAt + pairedQueries * scoreStride);
  memory.set(queries, 0);
  memory.set(rows, rowsAt);
  const groups = Math.ceil(rows.length / stride / LANES);
  if (groups > 0 && queryCount > 0)
    kernel.dotProducts(
      rowsAt * NUMBER_BYTES,
      (rowsAt + groups * LANES * stride) * NUMBER_BYTES,
      stride * NUMBER_BYTES,
      0,
      rowsAt * NUMBER_BYTES,
      scoresAt * NUMBER_BYTES,
      scoreStride * NUMBER_BYTES,
    );
  return {
    scores: memory.subarray(scoresAt, scoresAt + queryCount * scoreStride),
    stride: scoreStride,
  };
}

let view = new Float32Array(kernel.memory.buffer);

function memoryOf(numbers: number): Float32Array {
  const missing = numbers - view.length;
  if (missing > 0) {
    kernel.memory.grow(Math.ceil((missing * NUMBER_BYTES) / PAGE_BYTES));
    view = new Float32Array(kernel.memory.buffer);
  }
  return view;
}
