import { disableNativeTelemetry } from '@online-cnclip/foundation';
import type { InferenceSession } from 'onnxruntime-node';
import { codeProductsModel } from './code-products-model.ts';

/** What onnxruntime-node gives; loaded when the first large index is searched, since small ones do without. */
type Onnx = typeof import('onnxruntime-node');

interface Engine {
  readonly onnx: Onnx;
  readonly session: InferenceSession;
  /** Largest query code whose products are exact on this processor. */
  readonly maxCode: number;
}

/** Without instructions for byte products, older processors add pairs of them in 16 bits, which saturate beyond this. */
const SAFE_MAX_CODE = 63;
const FULL_MAX_CODE = 127;

/** Products of byte matrices, by onnxruntime's MatMulInteger. */
export class CodeProducts {
  readonly #threads: number;
  #engine: Promise<Engine> | undefined;

  /** @param threads that compute one product. */
  constructor(threads: number) {
    this.#threads = threads;
  }

  /** Largest absolute value of a query's codes. */
  async maxQueryCode(): Promise<number> {
    return (await this.#open()).maxCode;
  }

  /**
   * @param rows uint8 `[rows, dimension]`.
   * @param queries int8 `[dimension, queries]`.
   * @param into int32 `[rows, queries]`, exact.
   */
  async multiply(rows: Uint8Array, queries: Int8Array, dimension: number, into: Int32Array): Promise<void> {
    await run(await this.#open(), rows, queries, dimension, into);
  }

  /** Frees the session. */
  async close(): Promise<void> {
    const engine = await this.#engine?.catch(() => undefined);
    this.#engine = undefined;
    await engine?.session.release();
  }

  #open(): Promise<Engine> {
    this.#engine ??= openEngine(this.#threads);
    return this.#engine;
  }
}

async function openEngine(threads: number): Promise<Engine> {
  disableNativeTelemetry();
  // A CommonJS module: its exports come as the default one.
  const onnx = (await import('onnxruntime-node')).default as Onnx;
  const session = await onnx.InferenceSession.create(codeProductsModel(), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  const exact = await isExact({ onnx, session, maxCode: FULL_MAX_CODE });
  return { onnx, session, maxCode: exact ? FULL_MAX_CODE : SAFE_MAX_CODE };
}

/** Tries the largest sums that there can be, at a size that the fast paths take. */
async function isExact(engine: Engine): Promise<boolean> {
  const [rows, dimension, queries] = [64, 512, 16];
  const products = new Int32Array(rows * queries);
  const codes = new Int8Array(dimension * queries).fill(engine.maxCode);
  await run(engine, new Uint8Array(rows * dimension).fill(255), codes, dimension, products);
  return products.every((product) => product === 255 * engine.maxCode * dimension);
}

async function run(
  { onnx: { Tensor }, session }: Engine,
  rows: Uint8Array,
  queries: Int8Array,
  dimension: number,
  into: Int32Array,
): Promise<void> {
  const [rowCount, queryCount] = [rows.length / dimension, queries.length / dimension];
  await session.run(
    {
      rows: new Tensor('uint8', rows, [rowCount, dimension]),
      queries: new Tensor('int8', queries, [dimension, queryCount]),
    },
    { products: new Tensor('int32', into.subarray(0, rowCount * queryCount), [rowCount, queryCount]) },
  );
}
