import type { GraphOptions } from './graph-options.ts';

/** What the owner of a graph asks its thread for, one at a time and each answered once. */
export type GraphRequest =
  | {
      readonly kind: 'replace';
      readonly ids: BigInt64Array<ArrayBuffer>;
      readonly vectors: Float32Array<ArrayBuffer>;
    }
  | { readonly kind: 'remove'; readonly ids: BigInt64Array<ArrayBuffer> }
  | { readonly kind: 'search'; readonly queries: Float32Array<ArrayBuffer>; readonly wanted: number }
  | { readonly kind: 'save' | 'load' | 'map'; readonly path: string };

export interface GraphResponse {
  /** Vectors in the graph after the request. */
  readonly size: number;
  /** Of search. */
  readonly ids?: BigInt64Array<ArrayBuffer>;
  readonly counts?: Uint32Array<ArrayBuffer>;
  /** What usearch said. */
  readonly error?: string;
}

/** Options of the graph, as the thread's data. */
export type GraphThreadData = GraphOptions;
