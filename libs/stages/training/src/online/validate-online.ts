import { throwIfAborted } from '@online-cnclip/foundation';
import type { RecallPort } from '../ports.ts';
import { epochOrder } from '../sampler.ts';
import type { TrainStep } from '../train-step.ts';
import { batchMetrics, type PairRows, recallOf, type ValidationResult } from '../validation.ts';
import type { ValidationSplit } from '../validation-split.ts';
import { type OnlineBatch, onlineBatches, type QueryBatch } from './online-batches.ts';
import type { OnlineStepEvent, OnlineSummary } from './online-events.ts';
import type { OnlineLearning } from './online-learning.ts';
import { countsOf, OnlineTotals } from './online-totals.ts';

export interface OnlineValidationOptions {
  /** Steps of the training so far. */
  readonly position: number;
  /** That the schedule last set. */
  readonly learningRate: number;
  /** The logarithm of the logits' scale before the first online step. */
  readonly logitScale: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep: (event: OnlineStepEvent) => void;
}

export interface OnlineValidationResult extends ValidationResult {
  readonly logitScale: number;
  readonly online: OnlineSummary;
}

/**
 * A validation with online learning: for each batch one step on images of its queries (or, with scope exclude-scored, of
 * queries of the training split), then loss and accuracy of the batch with the model as it is then. Recall is that of the
 * model at the end. The order is that of validate().
 *
 * @throws the signal's reason when stopped: the parameters are then between two validations.
 */
export async function validateOnline(
  learning: OnlineLearning,
  step: TrainStep,
  split: ValidationSplit,
  recall: RecallPort,
  options: OnlineValidationOptions,
): Promise<OnlineValidationResult> {
  const { validBatchSize: batchSize, seed } = learning.options;
  const order = epochOrder(split.pairs.length, batchSize, seed, 0);
  const batches = Array.from({ length: order.length / batchSize }, (_, i) =>
    [...order.subarray(i * batchSize, (i + 1) * batchSize)].map((index) => split.pairs[index] as PairRows),
  );
  const totals = new OnlineTotals();
  const sums = { loss: 0, imageToText: 0, textToImage: 0 };
  let { logitScale } = options;
  let [index, end] = [0, performance.now()];
  for await (const batch of onlineBatches(
    queryBatches(learning, split, batches, options.position),
    sourceOf(learning, options),
  )) {
    throwIfAborted(options.signal);
    const waitSeconds = (performance.now() - end) / 1000;
    const draw = -(1 + options.position * batches.length + index);
    const result = await stepOn(batch, step, options.learningRate, draw);
    logitScale = result?.logitScale ?? logitScale;
    const stepSeconds = (performance.now() - end) / 1000;
    totals.add(batch, waitSeconds, stepSeconds);
    options.onStep({
      kind: 'online-step',
      step: index + 1,
      totalSteps: batches.length,
      epoch: 1,
      totalEpochs: 1,
      ...countsOf(batch),
      ...(result && { loss: result.loss }),
      learningRate: options.learningRate,
      logitScale,
      waitSeconds,
      stepSeconds,
      etaSeconds: stepSeconds * (batches.length - index - 1),
    });
    const metrics = await evaluate(step, split, batches[index++] as PairRows[], logitScale);
    sums.loss += metrics.loss * batchSize;
    sums.imageToText += metrics.imageToTextHits;
    sums.textToImage += metrics.textToImageHits;
    end = performance.now();
  }
  return {
    loss: sums.loss / order.length,
    imageToTextAccuracy: sums.imageToText / order.length,
    textToImageAccuracy: sums.textToImage / order.length,
    recall: await recallOf(step, split, recall, options.signal),
    logitScale,
    online: totals.summary(learning.options.onlineScope, learning.images.mode),
  };
}

/** As in the research code the first image of each query. */
function* queryBatches(
  { others, options: { validBatchSize } }: OnlineLearning,
  split: ValidationSplit,
  batches: readonly (readonly PairRows[])[],
  position: number,
): Generator<QueryBatch> {
  for (const [index, pairs] of batches.entries()) {
    const first = (position * batches.length + index) * validBatchSize;
    const texts = pairs.map(({ text }, i) =>
      others ? (others[(first + i) % others.length] as string) : (split.texts[text] as string),
    );
    yield { texts, number: 1 };
  }
}

const sourceOf = (
  { images: source, decode, encode, resolution, replay, options }: OnlineLearning,
  { position, signal }: OnlineValidationOptions,
) => ({
  source,
  decode,
  encode,
  resolution,
  imagesPerQuery: 1,
  maskDuplicates: options.maskDuplicates,
  seed: options.seed,
  replay: replay && { pairs: replay, ratio: options.replayRatio, from: position * options.validBatchSize },
  signal,
});

async function stepOn({ step: pairs }: OnlineBatch, step: TrainStep, learningRate: number, draw: number) {
  if (!pairs) return undefined;
  const { images, inputIds, pairKeys } = pairs;
  return step.run(images, inputIds, learningRate, { pairKeys, draw });
}

async function evaluate(
  step: TrainStep,
  split: ValidationSplit,
  pairs: readonly PairRows[],
  logitScale: number,
) {
  const { images, inputIds } = await split.pairBatch(pairs);
  const imageFeatures = await step.encodeImages(images);
  // A runtime may hand out the same buffer again at the next call.
  const kept = { ...imageFeatures, data: imageFeatures.data.slice() };
  const rows = pairs.map((_, row) => ({ image: row, text: row }));
  return batchMetrics(kept, await step.encodeTexts(inputIds), rows, Math.exp(logitScale));
}
