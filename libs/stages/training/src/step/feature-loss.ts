// The loss by the features of a batch, and its gradient by them: what stands between GradCache's two passes over the towers.
import { float32, type NdArray } from '@online-cnclip/foundation';
import {
  type FeatureLossOptions,
  featureLossProgram,
  GIVEN_FEATURES,
  gradientName,
  LOSS_SCALE,
} from '@online-cnclip/network';
import type { Executable, RunArray } from '@online-cnclip/runtime';
import type { GradientBatch, GradientSettings } from './batch-gradients.ts';
import { type MicroBatchInputs, rowsOf } from './micro-batch-inputs.ts';

/** Of a replica's own pairs, float32 `[pairs, embed]` each. */
export interface Features {
  readonly images: NdArray<'float32'>;
  readonly texts: NdArray<'float32'>;
}

export interface FeatureLoss {
  /** What the gradient program says of the batch, with what it says of parameters that it has no array for. */
  readonly outputs: Readonly<Record<string, NdArray>>;
  /** The gradient by the given features; of a frozen tower's none. */
  readonly byImages: NdArray<'float32'> | undefined;
  readonly byTexts: NdArray<'float32'> | undefined;
}

const lossScaleOf = ({ lossScale }: GradientBatch): NdArray<'float32'> =>
  float32([], Float32Array.of(lossScale));

/** Runs the program of the last micro-batch, which is given the features of all others: its activations stay in between. */
export async function runLastMicroBatch(
  executable: Executable,
  batch: GradientBatch,
  inputs: MicroBatchInputs,
  given: Features,
  into: Readonly<Record<string, RunArray>>,
): Promise<FeatureLoss> {
  const outputs = await executable.run(
    {
      ...inputs,
      given_images: given.images,
      given_texts: given.texts,
      ...(batch.pairKeys && { pair_keys: batch.pairKeys }),
      [LOSS_SCALE.name]: lossScaleOf(batch),
    },
    into,
  );
  const [byImages, byTexts] = GIVEN_FEATURES.map((name) => outputs[gradientName(name)]);
  return {
    outputs,
    byImages: byImages as NdArray<'float32'> | undefined,
    byTexts: byTexts as NdArray<'float32'> | undefined,
  };
}

/** For a runtime that cannot exchange features in the middle of a program: the loss alone, over the features of all replicas. */
export function prepareFeatureLoss(
  { config, runtime, loss, replicas, precision, lossScaled }: GradientSettings,
  { rows, masked }: { rows: number; masked: boolean },
): Promise<Executable> {
  const options: FeatureLossOptions = {
    loss,
    pairs: replicas?.aggregate ? rows * replicas.worldSize : rows,
    embedDim: config.vision.embedDim,
    ...(masked && { masked }),
    ...(lossScaled && { lossScaled }),
    ...(precision && { precision }),
  };
  return runtime.prepare(featureLossProgram(options));
}

export async function runFeatureLoss(
  { replicas, collectives, parameters }: GradientSettings,
  executable: Executable,
  batch: GradientBatch,
  own: Features,
): Promise<FeatureLoss> {
  const all = replicas?.aggregate ? await gather(own) : own;
  const outputs = await executable.run({
    image_features: all.images,
    text_features: all.texts,
    logit_scale: parameters.get('logit_scale') as RunArray,
    ...(batch.pairKeys && { pair_keys: batch.pairKeys }),
    [LOSS_SCALE.name]: lossScaleOf(batch),
  });
  const [rows = 0] = own.images.shape;
  const first = replicas?.aggregate ? collectives.rank * rows : 0;
  const scale = replicas?.featureGradientScale ?? 1;
  const ownPart = (name: string): NdArray<'float32'> => {
    const part = rowsOf(outputs[gradientName(name)] as NdArray<'float32'>, first, rows);
    return scale === 1 ? part : { ...part, data: part.data.map((value) => value * scale) };
  };
  return { outputs, byImages: ownPart('image_features'), byTexts: ownPart('text_features') };

  async function gather({ images, texts }: Features): Promise<Features> {
    const over = async ({ shape: [count = 0, width = 0], data }: NdArray<'float32'>) => {
      const everyones = new Float32Array(data.length * collectives.worldSize);
      await collectives.allGather(data, everyones);
      return float32([count * collectives.worldSize, width], everyones);
    };
    return { images: await over(images), texts: await over(texts) };
  }
}
