import { int32 } from '@online-cnclip/foundation';
import type { Executable } from '@online-cnclip/runtime';
import { Admission } from './admission.ts';
import { BatchQueue } from './batch-queue.ts';
import {
  MAX_BATCH_TEXTS,
  MAX_BATCH_TOKENS,
  MAX_QUEUED_TEXTS,
  MAX_QUEUED_TOKENS,
  RUN_OVERHEAD_TOKENS,
  TEXT_WINDOW,
} from './limits.ts';
import type { Outcome } from './outcome.ts';
import { planTextBatch, type TextBatchLimits } from './text-batch-plan.ts';
import { encodeAdmitted, splitRows, type TowerObservers } from './tower.ts';

const BATCH_LIMITS: TextBatchLimits = {
  maxTexts: MAX_BATCH_TEXTS,
  maxTokens: MAX_BATCH_TOKENS,
  overheadTokens: RUN_OVERHEAD_TOKENS,
};

/** Embeds tokenized texts with the text encoder, in batches padded to their own longest text. */
export class TextTower {
  readonly #executable: Executable;
  readonly #observers: TowerObservers;
  readonly #queue: BatchQueue<Int32Array, Float32Array>;
  readonly #admission = new Admission({
    items: 'texts',
    maxItems: MAX_QUEUED_TEXTS,
    unit: 'tokens',
    maxCost: MAX_QUEUED_TOKENS,
  });

  constructor(executable: Executable, observers: TowerObservers = {}) {
    this.#executable = executable;
    this.#observers = observers;
    this.#queue = new BatchQueue<Int32Array, Float32Array>({
      window: TEXT_WINDOW,
      choose: (texts) =>
        planTextBatch(
          texts.map((ids) => ids.length),
          BATCH_LIMITS,
        ),
      run: (texts) => this.#run(texts),
      onBatch: (batch, texts) => observers.onBatch?.('text', { ...batch, ...countTokens(texts) }),
    });
  }

  /** Texts that wait or are being computed. */
  get queued(): number {
    return this.#admission.items;
  }

  /**
   * @param texts token ids of each text, [CLS] to [SEP] without padding.
   * @returns per text its normalised embedding [embed], or its error.
   * @throws ResourceExhaustedError when the queue has no room for all; the signal's reason once it is aborted.
   */
  async encode(texts: readonly Int32Array[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]> {
    const note = this.#observers.traceOfCall?.();
    return encodeAdmitted(texts, {
      admission: this.#admission,
      costOf: (ids) => ids.length,
      encode: (ids) => this.#queue.submit(ids, signal, note),
      signal,
    });
  }

  /** Frees the executable. To be called when no encode is under way; later ones are refused. */
  async dispose(): Promise<void> {
    await this.#queue.close();
    await this.#executable.dispose();
  }

  async #run(texts: readonly Int32Array[]): Promise<Float32Array[]> {
    const length = Math.max(...texts.map((ids) => ids.length));
    const inputIds = new Int32Array(texts.length * length);
    texts.forEach((ids, row) => {
      inputIds.set(ids, row * length);
    });
    const { normalized } = await this.#executable.run({
      input_ids: int32([texts.length, length], inputIds),
    });
    return splitRows(normalized, texts.length);
  }
}

function countTokens(texts: readonly Int32Array[]): { tokens: number; paddingTokens: number } {
  const lengths = texts.map((ids) => ids.length);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return { tokens, paddingTokens: Math.max(...lengths) * texts.length - tokens };
}
