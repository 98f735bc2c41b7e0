import { float32, type NdArray } from '@online-cnclip/foundation';
import type { Recall, RecallPort } from './ports.ts';
import { epochOrder } from './sampler.ts';
import type { TrainStep } from './train-step.ts';
import type { ValidationSplit } from './validation-split.ts';

export interface ValidationOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** The logarithm of the logits' scale. */
  readonly logitScale: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ValidationResult {
  readonly loss: number;
  readonly imageToTextAccuracy: number;
  readonly textToImageAccuracy: number;
  readonly recall: Recall;
}

/**
 * Loss and accuracy within batches as the research code's evaluate() has them, and recall over the whole gallery.
 * Every distinct image and text is encoded once; batches are then made of the features. The order is shuffled, the
 * same for each validation, so that pairs of one image rarely meet in a batch.
 *
 * @throws CancelledError (or the signal's reason) when stopped between two batches.
 */
export async function validate(
  step: TrainStep,
  split: ValidationSplit,
  recall: RecallPort,
  options: ValidationOptions,
): Promise<ValidationResult> {
  const { batchSize, seed, signal } = options;
  const { images, texts } = await encodeSplit(step, split, signal);
  const order = epochOrder(split.pairs.length, batchSize, seed, 0);
  const sums = { loss: 0, imageToText: 0, textToImage: 0 };
  for (let start = 0; start < order.length; start += batchSize) {
    const pairs = [...order.subarray(start, start + batchSize)].map((i) => split.pairs[i] as PairRows);
    const batch = batchMetrics(images, texts, pairs, Math.exp(options.logitScale));
    sums.loss += batch.loss * pairs.length;
    sums.imageToText += batch.imageToTextHits;
    sums.textToImage += batch.textToImageHits;
  }
  return {
    loss: sums.loss / order.length,
    imageToTextAccuracy: sums.imageToText / order.length,
    textToImageAccuracy: sums.textToImage / order.length,
    recall: await rankSplit(split, { images, texts }, recall),
  };
}

/**
 * Recall over the whole gallery of a split, with the parameters of now.
 *
 * @throws CancelledError (or the signal's reason) when stopped between two batches.
 */
export async function recallOf(
  step: TrainStep,
  split: ValidationSplit,
  recall: RecallPort,
  signal?: AbortSignal,
): Promise<Recall> {
  return rankSplit(split, await encodeSplit(step, split, signal), recall);
}

interface SplitFeatures {
  readonly images: NdArray<'float32'>;
  readonly texts: NdArray<'float32'>;
}

async function encodeSplit(
  step: TrainStep,
  split: ValidationSplit,
  signal: AbortSignal | undefined,
): Promise<SplitFeatures> {
  return {
    images: await stack(split.imageBatches(signal), (batch) => step.encodeImages(batch)),
    texts: await stack(split.textBatches(signal), (batch) => step.encodeTexts(batch)),
  };
}

const rankSplit = (
  split: ValidationSplit,
  { images, texts }: SplitFeatures,
  recall: RecallPort,
): Promise<Recall> =>
  recall.recall({
    galleryIds: split.imageIds,
    galleryFeatures: images,
    queryFeatures: texts,
    relevantIds: split.relevantIds,
  });

/** Rows of a pair's image and text among the distinct ones. */
export interface PairRows {
  readonly image: number;
  readonly text: number;
}

export interface BatchMetrics {
  /** Symmetric InfoNCE. */
  readonly loss: number;
  readonly imageToTextHits: number;
  readonly textToImageHits: number;
}

/** Loss and hits within one batch. Ties count as the first of the batch, as argmax does. */
export function batchMetrics(
  images: NdArray<'float32'>,
  texts: NdArray<'float32'>,
  pairs: readonly PairRows[],
  scale: number,
): BatchMetrics {
  const logits = pairLogits(images, texts, pairs, scale);
  const n = pairs.length;
  let loss = 0;
  let imageToTextHits = 0;
  let textToImageHits = 0;
  for (let i = 0; i < n; i++) {
    const row = lineMetrics(logits, i * n, 1, n, i);
    const column = lineMetrics(logits, i, n, n, i);
    loss += (row.crossEntropy + column.crossEntropy) / 2;
    if (row.best === i) imageToTextHits++;
    if (column.best === i) textToImageHits++;
  }
  return { loss: loss / n, imageToTextHits, textToImageHits };
}

/** `[pairs, pairs]`: scale times image i by text j. */
function pairLogits(
  { data: images, shape }: NdArray<'float32'>,
  { data: texts }: NdArray<'float32'>,
  pairs: readonly PairRows[],
  scale: number,
): Float64Array {
  const width = shape[1] as number;
  const logits = new Float64Array(pairs.length ** 2);
  let at = 0;
  for (const { image } of pairs) {
    const a = images.subarray(image * width, (image + 1) * width);
    for (const { text } of pairs) {
      const offset = text * width;
      let dot = 0;
      for (let k = 0; k < width; k++) dot += (a[k] as number) * (texts[offset + k] as number);
      logits[at++] = scale * dot;
    }
  }
  return logits;
}

/** Cross entropy of one row (stride 1) or column (stride n) against its target, and its argmax. */
function lineMetrics(logits: Float64Array, start: number, stride: number, n: number, target: number) {
  let best = 0;
  for (let j = 1; j < n; j++) if (logit(j) > logit(best)) best = j;
  let sum = 0;
  for (let j = 0; j < n; j++) sum += Math.exp(logit(j) - logit(best));
  return { best, crossEntropy: Math.log(sum) + logit(best) - logit(target) };

  function logit(j: number): number {
    return logits[start + j * stride] as number;
  }
}

async function stack<T>(
  batches: AsyncIterable<T>,
  encode: (batch: T) => Promise<NdArray<'float32'>>,
): Promise<NdArray<'float32'>> {
  const parts: NdArray<'float32'>[] = [];
  for await (const batch of batches) {
    const { data, shape } = await encode(batch);
    // A runtime may hand out the same buffer again at the next call.
    parts.push({ dtype: 'float32', shape, data: data.slice() });
  }
  const rows = parts.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  const width = parts[0]?.shape[1] ?? 0;
  const data = new Float32Array(rows * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return float32([rows, width], data);
}
