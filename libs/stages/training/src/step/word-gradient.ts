import type { NdArray } from '@online-cnclip/foundation';
import { gradientName, WORD_EMBEDDINGS, WORD_ROWS } from '@online-cnclip/network';
import type { RunArray } from '@online-cnclip/runtime';
import type { Arena } from './arena.ts';

/**
 * The gradient by the words' embeddings, to which programs give one row per token: as their output it would be a matrix of the
 * whole vocabulary, written and copied once per micro-batch. Where gradients are on a device it is one nevertheless.
 */
export class WordGradient {
  readonly #matrix: NdArray<'float32'> | undefined;

  constructor({ tensors }: Arena) {
    const tensor = tensors.get(WORD_EMBEDDINGS);
    this.#matrix = tensor && 'data' in tensor ? (tensor as NdArray<'float32'>) : undefined;
  }

  /** Whether the programs are to give rows. */
  get isByRows(): boolean {
    return this.#matrix !== undefined;
  }

  /** Of these tensors, those that programs write gradients into themselves. */
  writtenByPrograms(tensors: ReadonlyMap<string, RunArray>): [string, RunArray][] {
    return [...tensors].filter(([name]) => !(this.isByRows && name === WORD_EMBEDDINGS));
  }

  clear(): void {
    this.#matrix?.data.fill(0);
  }

  /** Adds what a program's outputs say of its tokens. */
  add(inputIds: NdArray<'int32'>, outputs: Readonly<Record<string, NdArray>>): void {
    const rows = outputs[gradientName(WORD_ROWS)]?.data as Float32Array | undefined;
    if (!this.#matrix || !rows) return;
    const { data, shape } = this.#matrix;
    const width = shape[1] as number;
    inputIds.data.forEach((id, token) => {
      const [to, from] = [id * width, token * width];
      for (let i = 0; i < width; i++) data[to + i] = (data[to + i] as number) + (rows[from + i] as number);
    });
  }
}
