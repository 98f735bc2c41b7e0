import { type NamedArrays, type NdArray, sizeOf } from '@online-cnclip/foundation';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import type {
  ModelConfig,
  ResNetConfig,
  TextConfig,
  VisionConfig,
  VisionTransformerConfig,
} from './config.ts';

/** How a tensor starts: a normal distribution of that deviation, a uniform one of that bound, or a constant. */
type Start = { readonly normal: number } | { readonly uniform: number } | { readonly value: number };

interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Start;
  /** Running statistics: saved with the model, never trained. */
  readonly isBuffer?: boolean;
}

const ZERO: Start = { value: 0 };
const ONE: Start = { value: 1 };
/** ln(1 / 0.07), where CLIP's logit scale starts. */
const INITIAL_LOGIT_SCALE = Math.log(1 / 0.07);

/** Every tensor of a model by Chinese-CLIP's name, in the order of torch's state dict, with torch's layout. */
export function parameterSpecs(config: ModelConfig): ReadonlyMap<string, readonly number[]> {
  return new Map(parameters(config).map(({ name, shape }) => [name, shape]));
}

/** Names of the tensors that are not trained: running statistics of batch normalisation. */
export function bufferNames(config: ModelConfig): ReadonlySet<string> {
  return new Set(parameters(config).flatMap(({ name, isBuffer }) => (isBuffer ? [name] : [])));
}

/** Starting values as Chinese-CLIP draws them (same distributions, our own random numbers). */
export function initializeParameters(config: ModelConfig, seed: number): NamedArrays {
  const random = xoroshiro128plus(seed);
  return new Map(
    parameters(config).map(({ name, shape, start }) => [name, initialize(shape, start, random)]),
  );
}

function initialize(shape: readonly number[], start: Start, random: RandomGenerator): NdArray<'float32'> {
  const data = new Float32Array(sizeOf(shape));
  if ('value' in start) data.fill(start.value);
  else if ('uniform' in start)
    for (let i = 0; i < data.length; i++) data[i] = (2 * unit(random) - 1) * start.uniform;
  else fillNormal(data, start.normal, random);
  return { dtype: 'float32', shape, data };
}

/** A number in (0, 1]. */
const unit = (random: RandomGenerator): number => ((random.next() >>> 0) + 1) / 2 ** 32;

/** Box and Muller's method, two values at a time. */
function fillNormal(data: Float32Array, deviation: number, random: RandomGenerator): void {
  for (let i = 0; i < data.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(unit(random)));
    const angle = 2 * Math.PI * unit(random);
    data[i] = radius * Math.cos(angle);
    if (i + 1 < data.length) data[i + 1] = radius * Math.sin(angle);
  }
}

function parameters({ vision, text }: ModelConfig): Parameter[] {
  return [
    {
      name: 'text_projection',
      shape: [text.hiddenSize, vision.embedDim],
      start: { normal: text.hiddenSize ** -0.5 },
    },
    { name: 'logit_scale', shape: [], start: { value: INITIAL_LOGIT_SCALE } },
    ...visionParameters(vision),
    ...textParameters(text),
  ];
}

function visionParameters(config: VisionConfig): Parameter[] {
  return config.kind === 'vit' ? vitParameters(config) : resNetParameters(config);
}

const weightAndBias = (
  prefix: string,
  outputs: number,
  inputs: number,
  weight: Start,
  bias: Start = ZERO,
): Parameter[] => [
  { name: `${prefix}.weight`, shape: [outputs, inputs], start: weight },
  { name: `${prefix}.bias`, shape: [outputs], start: bias },
];

const norm = (prefix: string, width: number): Parameter[] => [
  { name: `${prefix}.weight`, shape: [width], start: ONE },
  { name: `${prefix}.bias`, shape: [width], start: ZERO },
];

function vitParameters({
  width,
  layers,
  patchSize,
  imageResolution,
  embedDim,
}: VisionTransformerConfig): Parameter[] {
  const scale: Start = { normal: width ** -0.5 };
  const tokens = (imageResolution / patchSize) ** 2 + 1;
  const attention: Start = { normal: width ** -0.5 };
  const projection: Start = { normal: width ** -0.5 * (2 * layers) ** -0.5 };
  const fullyConnected: Start = { normal: (2 * width) ** -0.5 };
  const block = (i: number): Parameter[] => {
    const prefix = `visual.transformer.resblocks.${i}`;
    return [
      { name: `${prefix}.attn.in_proj_weight`, shape: [3 * width, width], start: attention },
      { name: `${prefix}.attn.in_proj_bias`, shape: [3 * width], start: ZERO },
      ...weightAndBias(`${prefix}.attn.out_proj`, width, width, projection),
      ...norm(`${prefix}.ln_1`, width),
      ...weightAndBias(`${prefix}.mlp.c_fc`, 4 * width, width, fullyConnected),
      ...weightAndBias(`${prefix}.mlp.c_proj`, width, 4 * width, projection),
      ...norm(`${prefix}.ln_2`, width),
    ];
  };
  return [
    { name: 'visual.class_embedding', shape: [width], start: scale },
    { name: 'visual.positional_embedding', shape: [tokens, width], start: scale },
    { name: 'visual.proj', shape: [width, embedDim], start: scale },
    {
      name: 'visual.conv1.weight',
      shape: [width, 3, patchSize, patchSize],
      start: { uniform: (3 * patchSize * patchSize) ** -0.5 },
    },
    ...norm('visual.ln_pre', width),
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    ...norm('visual.ln_post', width),
  ];
}

const convolution = (prefix: string, outputs: number, inputs: number, size: number): Parameter => ({
  name: `${prefix}.weight`,
  shape: [outputs, inputs, size, size],
  start: { uniform: (inputs * size * size) ** -0.5 },
});

const batchNorm = (prefix: string, width: number, start: Start = ONE): Parameter[] => [
  { name: `${prefix}.weight`, shape: [width], start },
  { name: `${prefix}.bias`, shape: [width], start: ZERO },
  { name: `${prefix}.running_mean`, shape: [width], start: ZERO, isBuffer: true },
  { name: `${prefix}.running_var`, shape: [width], start: ONE, isBuffer: true },
];

/** Channels grow fourfold within a bottleneck block. */
export const BOTTLENECK_EXPANSION = 4;

export interface BottleneckSpec {
  readonly prefix: string;
  readonly inputs: number;
  readonly planes: number;
  readonly stride: number;
  readonly hasDownsample: boolean;
}

/** The bottleneck blocks of a ModifiedResNet, in order. */
export function bottlenecks({ layers, width }: ResNetConfig): BottleneckSpec[] {
  let inputs = width;
  return layers.flatMap((blocks, stage) => {
    const planes = width * 2 ** stage;
    return Array.from({ length: blocks }, (_, i): BottleneckSpec => {
      const stride = i === 0 && stage > 0 ? 2 : 1;
      const spec = {
        prefix: `visual.layer${stage + 1}.${i}`,
        inputs,
        planes,
        stride,
        hasDownsample: stride > 1 || inputs !== planes * BOTTLENECK_EXPANSION,
      };
      inputs = planes * BOTTLENECK_EXPANSION;
      return spec;
    });
  });
}

function resNetParameters(config: ResNetConfig): Parameter[] {
  const { width, imageResolution, embedDim } = config;
  const half = width / 2;
  const features = width * 32;
  const pool: Start = { normal: features ** -0.5 };
  const tokens = (imageResolution / 32) ** 2 + 1;
  const projections = ['k_proj', 'q_proj', 'v_proj', 'c_proj'].flatMap((name) =>
    weightAndBias(`visual.attnpool.${name}`, name === 'c_proj' ? embedDim : features, features, pool),
  );
  return [
    convolution('visual.conv1', half, 3, 3),
    ...batchNorm('visual.bn1', half),
    convolution('visual.conv2', half, half, 3),
    ...batchNorm('visual.bn2', half),
    convolution('visual.conv3', width, half, 3),
    ...batchNorm('visual.bn3', width),
    ...bottlenecks(config).flatMap(bottleneckParameters),
    { name: 'visual.attnpool.positional_embedding', shape: [tokens, features], start: pool },
    ...projections,
  ];
}

function bottleneckParameters({ prefix, inputs, planes, hasDownsample }: BottleneckSpec): Parameter[] {
  const outputs = planes * BOTTLENECK_EXPANSION;
  return [
    convolution(`${prefix}.conv1`, planes, inputs, 1),
    ...batchNorm(`${prefix}.bn1`, planes),
    convolution(`${prefix}.conv2`, planes, planes, 3),
    ...batchNorm(`${prefix}.bn2`, planes),
    convolution(`${prefix}.conv3`, outputs, planes, 1),
    // A block starts as the identity: the last normalisation's scale is zero.
    ...batchNorm(`${prefix}.bn3`, outputs, ZERO),
    ...(hasDownsample
      ? [
          convolution(`${prefix}.downsample.0`, outputs, inputs, 1),
          ...batchNorm(`${prefix}.downsample.1`, outputs),
        ]
      : []),
  ];
}

function textParameters(config: TextConfig): Parameter[] {
  const start: Start = { normal: config.initializerRange };
  const embedding: Start = { normal: config.embeddingInitializerRange ?? config.initializerRange };
  const { hiddenSize: width, intermediateSize } = config;
  const layer = (i: number): Parameter[] => {
    const prefix = `bert.encoder.layer.${i}`;
    return [
      ...['query', 'key', 'value'].flatMap((name) =>
        weightAndBias(`${prefix}.attention.self.${name}`, width, width, start),
      ),
      ...weightAndBias(`${prefix}.attention.output.dense`, width, width, start),
      ...norm(`${prefix}.attention.output.LayerNorm`, width),
      ...weightAndBias(`${prefix}.intermediate.dense`, intermediateSize, width, start),
      ...weightAndBias(`${prefix}.output.dense`, width, intermediateSize, start),
      ...norm(`${prefix}.output.LayerNorm`, width),
    ];
  };
  const embeddings = 'bert.embeddings';
  return [
    { name: `${embeddings}.word_embeddings.weight`, shape: [config.vocabularySize, width], start: embedding },
    {
      name: `${embeddings}.position_embeddings.weight`,
      shape: [config.maxPositions, width],
      start: embedding,
    },
    {
      name: `${embeddings}.token_type_embeddings.weight`,
      shape: [config.tokenTypes, width],
      start: embedding,
    },
    ...norm(`${embeddings}.LayerNorm`, width),
    ...Array.from({ length: config.layers }, (_, i) => layer(i)).flat(),
  ];
}
