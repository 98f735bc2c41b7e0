import type { NamedArrays } from '@online-cnclip/foundation';
import type { Precision, Program, TensorSpec } from '@online-cnclip/tracer';
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig, VisionConfig } from './config.ts';
import { parameterSpecs } from './parameters.ts';
import { type BatchNormMode, residualNetwork } from './residual-network.ts';
import type { Tensors } from './tensors.ts';
import { at } from './tensors.ts';
import { textTransformer } from './text-transformer.ts';
import { visionTransformer } from './vision-transformer.ts';

/** The image tower, whichever it is. `images [batch, 3, R, R]` -> `[batch, embedDim]`, not normalised. */
export function encodeImage(
  config: VisionConfig,
  weights: Tensors,
  images: tf.Tensor,
  mode: BatchNormMode = { kind: 'running' },
): tf.Tensor {
  return config.kind === 'vit'
    ? visionTransformer(config, weights, images)
    : residualNetwork(config, weights, images, mode);
}

/** Rows of unit length. */
export function normalizeRows(features: tf.Tensor): tf.Tensor {
  return tf.div(features, tf.sqrt(tf.sum(tf.square(features), -1, true)));
}

const isVision = (name: string): boolean => name.startsWith('visual.');
const isText = (name: string): boolean => name.startsWith('bert.') || name === 'text_projection';

const featuresOf = (features: tf.Tensor) => ({ features, normalized: normalizeRows(features) });

/**
 * Image features. Input `images` float32 `[batch, 3, R, R]`; outputs `features` and `normalized`, float32
 * `[batch, embedDim]`. The weights are constants of the program.
 */
export function imageEncoderProgram(
  config: ModelConfig,
  parameters: NamedArrays,
  precision: Precision = 'single',
): Program {
  return {
    name: 'image-encoder',
    inputs: [imagesSpec(config, 'batch')],
    constants: only(parameters, isVision),
    precision,
    build: (tensors) => featuresOf(encodeImage(config.vision, tensors, at(tensors, 'images'))),
  };
}

/**
 * Text features. Input `input_ids` int32 `[batch, length]`, zero-padded; outputs `features` and `normalized`, float32
 * `[batch, embedDim]`. The weights are constants of the program.
 */
export function textEncoderProgram(
  config: ModelConfig,
  parameters: NamedArrays,
  precision: Precision = 'single',
): Program {
  return {
    name: 'text-encoder',
    inputs: [{ name: 'input_ids', dtype: 'int32', shape: ['batch', 'length'] }],
    constants: only(parameters, isText),
    precision,
    build: (tensors) => featuresOf(textTransformer(config.text, tensors, at(tensors, 'input_ids'))),
  };
}

/** As {@link imageEncoderProgram}, with the weights as inputs: for a model that is being trained. */
export function liveImageEncoderProgram(config: ModelConfig): Program {
  const { name, build, inputs } = imageEncoderProgram(config, new Map());
  return { name: `live-${name}`, build, inputs: [...inputs, ...weightSpecs(config, isVision)] };
}

/** As {@link textEncoderProgram}, with the weights as inputs: for a model that is being trained. */
export function liveTextEncoderProgram(config: ModelConfig): Program {
  const { name, build, inputs } = textEncoderProgram(config, new Map());
  return { name: `live-${name}`, build, inputs: [...inputs, ...weightSpecs(config, isText)] };
}

export function imagesSpec({ vision }: ModelConfig, batch: number | string): TensorSpec {
  const { imageResolution } = vision;
  return { name: 'images', dtype: 'float32', shape: [batch, 3, imageResolution, imageResolution] };
}

export function weightSpecs(
  config: ModelConfig,
  isWanted: (name: string) => boolean = () => true,
): TensorSpec[] {
  const wanted = [...parameterSpecs(config)].filter(([name]) => isWanted(name));
  return wanted.map(([name, shape]) => ({ name, dtype: 'float32', shape }));
}

const only = (parameters: NamedArrays, isWanted: (name: string) => boolean): NamedArrays =>
  new Map([...parameters].filter(([name]) => isWanted(name)));
