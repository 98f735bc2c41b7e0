import { float32 } from '@online-cnclip/foundation';
import type { Executable } from '@online-cnclip/runtime';
import { Admission } from './admission.ts';
import { BatchQueue } from './batch-queue.ts';
import { Gate } from './gate.ts';
import {
  MAX_BATCH_IMAGES,
  MAX_BATCH_PATCHES,
  MAX_QUEUED_IMAGE_BYTES,
  MAX_QUEUED_IMAGES,
  MIN_DECODED_AHEAD,
} from './limits.ts';
import type { Outcome } from './outcome.ts';
import { encodeAdmitted, splitRows, type TowerObservers } from './tower.ts';

/** What turns an image file into the pixels of a tower, off the event loop. */
export interface ImageDecoder {
  /** @returns [3, resolution, resolution] float32, normalised. @throws a typed error naming what is wrong. */
  decode(file: Uint8Array, signal?: AbortSignal): Promise<Float32Array>;
  dispose(): Promise<void>;
}

export interface ImageTowerOptions extends TowerObservers {
  readonly executable: Executable;
  readonly decoder: ImageDecoder;
  /** Height and width in pixels. */
  readonly resolution: number;
  /** Positions that the tower computes per image, which its batch size follows from. */
  readonly patches: number;
}

/** Embeds image files: worker threads decode the next ones while a micro-batch is computed. */
export class ImageTower {
  readonly #options: ImageTowerOptions;
  readonly #queue: BatchQueue<Float32Array, Float32Array>;
  readonly #decodedAhead: Gate;
  readonly #admission = new Admission({
    items: 'images',
    maxItems: MAX_QUEUED_IMAGES,
    unit: 'bytes',
    maxCost: MAX_QUEUED_IMAGE_BYTES,
  });

  constructor(options: ImageTowerOptions) {
    this.#options = options;
    const batch = Math.max(1, Math.min(MAX_BATCH_IMAGES, Math.floor(MAX_BATCH_PATCHES / options.patches)));
    // One batch being computed, one waiting, one being decoded.
    this.#decodedAhead = new Gate(Math.max(MIN_DECODED_AHEAD, 3 * batch));
    this.#queue = new BatchQueue<Float32Array, Float32Array>({
      window: batch,
      choose: (images) => images.map((_, index) => index),
      run: (images) => this.#run(images),
      onBatch: (record) => options.onBatch?.('image', { ...record, tokens: 0, paddingTokens: 0 }),
    });
  }

  /** Images that wait, are being decoded or computed. */
  get queued(): number {
    return this.#admission.items;
  }

  /**
   * @param files whole image files.
   * @returns per image its normalised embedding [embed], or its error.
   * @throws ResourceExhaustedError when the queue has no room for all; the signal's reason once it is aborted.
   */
  async encode(files: readonly Uint8Array[], signal?: AbortSignal): Promise<Outcome<Float32Array>[]> {
    const note = this.#options.traceOfCall?.();
    return encodeAdmitted(files, {
      admission: this.#admission,
      costOf: (file) => file.byteLength,
      encode: (file) =>
        this.#decodedAhead.hold(signal, async () => {
          const pixels = await this.#options.decoder.decode(file, signal);
          return this.#queue.submit(pixels, signal, note);
        }),
      signal,
    });
  }

  /** Embeds pixels [3, resolution, resolution] that are ready for the tower. @throws as {@link encode}. */
  encodePixels(pixels: Float32Array, signal?: AbortSignal): Promise<Float32Array> {
    return this.#queue.submit(pixels, signal);
  }

  /** Frees the executable and the decoder. To be called when no encode is under way; later ones are refused. */
  async dispose(): Promise<void> {
    await this.#queue.close();
    await Promise.all([this.#options.executable.dispose(), this.#options.decoder.dispose()]);
  }

  async #run(images: readonly Float32Array[]): Promise<Float32Array[]> {
    const { executable, resolution } = this.#options;
    const size = 3 * resolution * resolution;
    const batch = new Float32Array(images.length * size);
    images.forEach((pixels, row) => {
      batch.set(pixels, row * size);
    });
    const { normalized } = await executable.run({
      images: float32([images.length, 3, resolution, resolution], batch),
    });
    return splitRows(normalized, images.length);
  }
}
