import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { loadParameters } from '@online-cnclip/checkpoint';
import { float32, type NamedArrays, requireFloat32, throwIfAborted } from '@online-cnclip/foundation';
import {
  type ComputePrecision,
  imageEncoderProgram,
  isHalfWeight,
  type ModelConfig,
  parameterSpecs,
  resolveModelConfig,
  textEncoderProgram,
  type VisionConfig,
} from '@online-cnclip/network';
import { CLIP_MEAN, CLIP_STD, createPreprocessor } from '@online-cnclip/preprocessing';
import type { Executable, Program, Runtime } from '@online-cnclip/runtime';
import { DEFAULT_VOCABULARY_PATH, loadTokenizer } from '@online-cnclip/tokenizer';
import { checkContextLength, EncoderModel, type ModelDescription } from './encoder-model.ts';
import { computeFingerprint } from './fingerprint.ts';
import { type ImageDecoder, ImageTower } from './image-tower.ts';
import { TextTower } from './text-tower.ts';
import type { TowerObservers } from './tower.ts';

export interface LoadEncoderModelOptions extends TowerObservers {
  /** Any checkpoint that `loadParameters` reads: .pt, .safetensors, a Hugging Face folder. */
  readonly path: string;
  /** How the description names the checkpoint; default: the path. */
  readonly checkpointPath?: string;
  /** Presets, such as 'ViT-B-16' and 'RoBERTa-wwm-ext-base-chinese'. */
  readonly visionModel: string;
  readonly textModel: string;
  /** Sizes of towers that are no preset. */
  readonly config?: ModelConfig | undefined;
  /** Tokens per text at most, [CLS] and [SEP] included. */
  readonly contextLength: number;
  /** Default: the vocabulary of BERT-base-Chinese. */
  readonly vocabularyPath?: string | undefined;
  /** What matrix products are computed in, and so part of the fingerprint (default: `fp32`). */
  readonly precision?: ComputePrecision | undefined;
  /**
   * Called once per tower, which owns what it gets: towers compute side by side, and a model that is being prepared
   * does not stand in the way of one that serves.
   */
  /** Ends the loading between two of its steps. */
  readonly signal?: AbortSignal | undefined;
  readonly createRuntime: () => Runtime;
  /** Worker threads that decode images; default: as many as there are cores, four at most. */
  readonly decodeThreads?: number | undefined;
}

/** Decoding an image takes a small part of what the smallest published tower takes: more threads would idle. */
const MAX_DECODE_THREADS = 4;

/** Part of the fingerprint. */
const PREPROCESSING = JSON.stringify({ resize: 'pillow-bicubic', mean: CLIP_MEAN, std: CLIP_STD });

/** A ResNet has no patches; it computes about as much per image as a ViT with these. */
const RESNET_PATCH_SIZE = 16;

/**
 * Loads a checkpoint and prepares both towers.
 *
 * @throws InvalidInputError when a preset is unknown, the context length is out of range or the checkpoint does not fit
 *   the towers; what reading the checkpoint throws; the signal's reason, between two steps of the loading.
 */
export async function loadEncoderModel(options: LoadEncoderModelOptions): Promise<EncoderModel> {
  const config = options.config ?? resolveModelConfig(options.visionModel, options.textModel);
  checkContextLength(options.contextLength, config.text.maxPositions);
  const { parameters } = await loadParameters(options.path, parameterSpecs(config));
  throwIfAborted(options.signal);
  const vocabularyPath = options.vocabularyPath ?? DEFAULT_VOCABULARY_PATH;
  const tokenizer = loadTokenizer(vocabularyPath);
  const { precision = 'fp32' } = options;
  const constants = {
    precision,
    preprocessing: PREPROCESSING,
    vocabulary: await readFile(vocabularyPath, 'utf8'),
  };
  const fingerprint = await computeFingerprint({ parameters, constants });
  const weights = precision === 'fp16' ? withHalfWeights(parameters) : parameters;
  const products = precision === 'fp32' ? 'single' : 'half';
  const [text, image] = await prepareTowers(
    options.createRuntime,
    [textEncoderProgram(config, weights, products), imageEncoderProgram(config, weights, products)],
    options.signal,
  );
  const { imageResolution } = config.vision;
  return new EncoderModel({
    description: describe(options, config, parameters, fingerprint),
    tokenizer,
    texts: new TextTower(text, options),
    images: new ImageTower({
      executable: image,
      decoder: createDecoder(imageResolution, options.decodeThreads ?? defaultDecodeThreads()),
      resolution: imageResolution,
      patches: patchesOf(config.vision),
      onBatch: options.onBatch,
      traceOfCall: options.traceOfCall,
    }),
  });
}

/** As training with `fp16` leaves them. */
const withHalfWeights = (parameters: NamedArrays): NamedArrays =>
  new Map(
    [...parameters].map(([name, array]) => {
      if (!isHalfWeight(name)) return [name, array];
      const { shape, data } = requireFloat32(parameters, name);
      return [name, float32(shape, data.map(Math.f16round))];
    }),
  );

function describe(
  options: LoadEncoderModelOptions,
  { vision, text }: ModelConfig,
  parameters: NamedArrays,
  fingerprint: string,
): ModelDescription {
  return {
    checkpointPath: options.checkpointPath ?? options.path,
    visionModel: options.visionModel,
    textModel: options.textModel,
    fingerprint,
    embeddingDimension: vision.embedDim,
    contextLength: options.contextLength,
    vocabularySize: text.vocabularySize,
    imageResolution: vision.imageResolution,
    logitScale: Math.exp(requireFloat32(parameters, 'logit_scale').data[0] as number),
    precision: options.precision ?? 'fp32',
  };
}

/** Prepares programs on a runtime each; the executables own them. Frees all when one fails. */
async function prepareTowers<Programs extends readonly Program[]>(
  createRuntime: () => Runtime,
  programs: readonly [...Programs],
  signal: AbortSignal | undefined,
): Promise<{ [Index in keyof Programs]: Executable }> {
  const prepared: Executable[] = [];
  try {
    for (const program of programs) {
      throwIfAborted(signal);
      prepared.push(await prepareOn(createRuntime(), program));
    }
  } catch (error) {
    await Promise.all(prepared.map((executable) => executable.dispose()));
    throw error;
  }
  return prepared as { [Index in keyof Programs]: Executable };
}

async function prepareOn(runtime: Runtime, program: Program): Promise<Executable> {
  try {
    const executable = await runtime.prepare(program);
    return {
      run: (inputs, into) => executable.run(inputs, into),
      async dispose() {
        await executable.dispose();
        await runtime.dispose();
      },
    };
  } catch (error) {
    await runtime.dispose();
    throw error;
  }
}

function createDecoder(resolution: number, threads: number): ImageDecoder {
  const preprocessor = createPreprocessor({ resolution, threads });
  return {
    decode: (file, signal) => preprocessor.run(file, { signal }),
    dispose: () => preprocessor.close(),
  };
}

const defaultDecodeThreads = (): number => Math.min(MAX_DECODE_THREADS, availableParallelism());

function patchesOf(vision: VisionConfig): number {
  const patchSize = vision.kind === 'vit' ? vision.patchSize : RESNET_PATCH_SIZE;
  return Math.ceil(vision.imageResolution / patchSize) ** 2;
}
