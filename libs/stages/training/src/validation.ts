import { type Collectives, singleReplica } from '@online-cnclip/collectives';
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
  /** Replicas that share the work; every one gets the whole result. Absent: this one alone. */
  readonly collectives?: Collectives | undefined;
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
 * same for each validation, so that pairs of one image rarely meet in a batch. Replicas share the work.
 *
 * @throws CancelledError (or the signal's reason) when stopped between two batches.
 */
export async function validate(
  step: TrainStep,
  split: ValidationSplit,
  recall: RecallPort,
  options: ValidationOptions,
): Promise<ValidationResult> {
  const { batchSize, seed, signal, collectives = singleReplica() } = options;
  const { rank, worldSize } = collectives;
  const { images, texts } = await encodeSplit(step, split, collectives, signal);
  const order = epochOrder(split.pairs.length, batchSize * worldSize, seed, 0);
  const own = order.filter((_, position) => position % worldSize === rank);
  const sums = { loss: 0, imageToText: 0, textToImage: 0 };
  for (let start = 0; start < own.length; start += batchSize) {
    const pairs = [...own.subarray(start, start + batchSize)].map((i) => split.pairs[i] as PairRows);
    const batch = batchMetrics(images, texts, pairs, Math.exp(options.logitScale));
    sums.loss += batch.loss * pairs.length;
    sums.imageToText += batch.imageToTextHits;
    sums.textToImage += batch.textToImageHits;
  }
  const { loss, imageToText, textToImage } = await overReplicas(sums, collectives);
  return {
    loss: loss / order.length,
    imageToTextAccuracy: imageToText / order.length,
    textToImageAccuracy: textToImage / order.length,
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
  return rankSplit(split, await encodeSplit(step, split, singleReplica(), signal), recall);
}

interface SplitFeatures {
  readonly images: NdArray<'float32'>;
  readonly texts: NdArray<'float32'>;
}

/** Each replica encodes its share of the rows; all have the features of all then. */
async function encodeSplit(
  step: TrainStep,
  split: ValidationSplit,
  collectives: Collectives,
  signal: AbortSignal | undefined,
): Promise<SplitFeatures> {
  const [imageCount, textCount] = [split.imageIds.length, split.relevantIds.length];
  const imageBatches = split.imageBatches(signal, ownRows(imageCount, collectives));
  const images = await stack(imageBatches, (batch) => step.encodeImages(batch));
  const textBatches = split.textBatches(signal, ownRows(textCount, collectives));
  const texts = await stack(textBatches, (batch) => step.encodeTexts(batch));
  return {
    images: await gatherFeatures(images, imageCount, collectives),
    texts: await gatherFeatures(texts, textCount, collectives),
  };
}

/** A replica's share of rows, as many for each: the last row stands in where there are none left. */
function ownRows(count: number, { rank, worldSize }: Collectives): readonly number[] {
  const share = Math.ceil(count / worldSize);
  return Array.from({ length: share }, (_, i) => Math.min(rank * share + i, count - 1));
}

async function gatherFeatures(
  own: NdArray<'float32'>,
  count: number,
  collectives: Collectives,
): Promise<NdArray<'float32'>> {
  if (collectives.worldSize === 1) return own;
  const width = own.shape[1] as number;
  const all = new Float32Array(own.data.length * collectives.worldSize);
  await collectives.allGather(own.data, all);
  return float32([count, width], all.subarray(0, count * width));
}

interface ValidationSums {
  readonly loss: number;
  readonly imageToText: number;
  readonly textToImage: number;
}

async function overReplicas(sums: ValidationSums, collectives: Collectives): Promise<ValidationSums> {
  if (collectives.worldSize === 1) return sums;
  const buffer = Float32Array.of(sums.loss, sums.imageToText, sums.textToImage);
  await collectives.allReduceSum(buffer);
  const [loss = 0, imageToText = 0, textToImage = 0] = buffer;
  return { loss, imageToText, textToImage };
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
