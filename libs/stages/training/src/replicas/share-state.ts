import type { Collectives } from '@online-cnclip/collectives';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';
import type { LossScaleState, TrainState, TrainStep, TrainStepResult } from '../train-step.ts';
import type { Agreement } from './replica-group.ts';

/**
 * Gives the root's state to the replicas that are behind. They take it in when it is there as a whole: one that is lost in the
 * middle leaves them as they were.
 */
export async function shareState(
  collectives: Collectives,
  step: TrainStep,
  { root, behind }: Agreement,
): Promise<void> {
  if (behind.length === 0) return;
  const { parameters, optimizer, lossScale } = await step.state();
  const isBehind = behind.includes(collectives.rank);
  const { scale, goodSteps, skippedSteps } = lossScale ?? NO_LOSS_SCALE;
  const numbers = Float64Array.of(optimizer.step, scale, goodSteps, skippedSteps);
  await collectives.broadcast(new Uint8Array(numbers.buffer), root);
  const share = (arrays: NamedArrays) => shareArrays(arrays, collectives, root, isBehind);
  const received: TrainState = {
    parameters: await share(parameters),
    optimizer: {
      step: numbers[0] as number,
      expAvg: await share(optimizer.expAvg),
      expAvgSq: await share(optimizer.expAvgSq),
    },
    ...(lossScale && { lossScale: lossScaleOf(numbers.subarray(1)) }),
  };
  if (isBehind) await step.restore(received);
}

/** Where gradients are not scaled. */
const NO_LOSS_SCALE: LossScaleState = { scale: 0, goodSteps: 0, skippedSteps: 0 };

function lossScaleOf([scale = 0, goodSteps = 0, skippedSteps = 0]: Float64Array): LossScaleState {
  return { scale, goodSteps, skippedSteps };
}

/** The root's arrays, in memory of their own where they are wanted. */
async function shareArrays(
  arrays: NamedArrays,
  collectives: Collectives,
  root: number,
  isWanted: boolean,
): Promise<NamedArrays> {
  const received = new Map<string, NdArray>();
  for (const [name, array] of arrays) {
    const data = array.data as Float32Array;
    const target = collectives.rank === root ? data : new Float32Array(data.length);
    await collectives.broadcast(target, root);
    if (isWanted) received.set(name, { dtype: 'float32', shape: array.shape, data: target });
  }
  return received;
}

/** The result of the last step, for replicas that did not take part in it. */
export async function shareResult(
  collectives: Collectives,
  result: TrainStepResult | undefined,
  root: number,
): Promise<TrainStepResult | undefined> {
  const { loss, logitScale, imageToTextAccuracy, textToImageAccuracy } = result ?? NO_RESULT;
  const { scale, goodSteps, skippedSteps } = result?.lossScale ?? NO_LOSS_SCALE;
  const numbers = Float64Array.of(
    ...[result ? 1 : 0, loss, logitScale, imageToTextAccuracy, textToImageAccuracy],
    ...[scale, goodSteps, skippedSteps],
  );
  await collectives.broadcast(new Uint8Array(numbers.buffer), root);
  const [isThere, ...values] = numbers;
  if (isThere === 0) return undefined;
  const lossScale = lossScaleOf(numbers.subarray(5));
  return {
    loss: values[0] as number,
    logitScale: values[1] as number,
    imageToTextAccuracy: values[2] as number,
    textToImageAccuracy: values[3] as number,
    ...(lossScale.scale !== 0 && { lossScale }),
  };
}

const NO_RESULT: TrainStepResult = { loss: 0, logitScale: 0, imageToTextAccuracy: 0, textToImageAccuracy: 0 };
