import { MAX_CONTEXT_LENGTH, MIN_CONTEXT_LENGTH } from '@online-cnclip/encoding';
import { setting } from '@online-cnclip/foundation';
import { COMPUTE_PRECISIONS } from '@online-cnclip/network';
import { DEVICES } from '@online-cnclip/runtime';
import { environmentName, serviceSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

const NAME = 'encoder';
const environment = (name: string): string => environmentName(NAME, name);
const optionalText = z.string().min(1).optional();
const threads = z.coerce.number().int().positive().optional();

/** Chinese-CLIP's own default. */
const DEFAULT_CONTEXT_LENGTH = 52;

/** Settings of the encoder: flag, environment variable or configuration file. */
export const encoderSettings = {
  ...serviceSettings(NAME, { listen: 50_051, metrics: 9_464 }),
  dataFolder: setting(
    environment('DATA_FOLDER'),
    z.string().min(1).default('var/data').describe('folder that checkpoints are loaded from, and no other'),
  ),
  checkpoint: setting(
    environment('CHECKPOINT'),
    optionalText.describe(
      'checkpoint to load at start, relative to the data folder; none: wait for LoadModel',
    ),
  ),
  visionModel: setting(
    environment('VISION_MODEL'),
    z.string().default('ViT-B-16').describe('image tower of that checkpoint'),
  ),
  textModel: setting(
    environment('TEXT_MODEL'),
    z.string().default('RoBERTa-wwm-ext-base-chinese').describe('text tower of that checkpoint'),
  ),
  contextLength: setting(
    environment('CONTEXT_LENGTH'),
    z.coerce
      .number()
      .int()
      .min(MIN_CONTEXT_LENGTH)
      .max(MAX_CONTEXT_LENGTH)
      .default(DEFAULT_CONTEXT_LENGTH)
      .describe('tokens per text at most, where LoadModel names none'),
  ),
  vocabulary: setting(
    environment('VOCABULARY'),
    optionalText.describe('WordPiece vocabulary, one token per line; none: that of BERT-base-Chinese'),
  ),
  computeThreads: setting(
    environment('COMPUTE_THREADS'),
    threads.describe('threads that a tower computes with; none: as many as there are cores'),
  ),
  device: setting(
    environment('DEVICE'),
    z
      .enum(DEVICES)
      .default('cpu')
      .describe('what the towers are computed on; cuda needs the CUDA files of onnxruntime'),
  ),
  precision: setting(
    environment('PRECISION'),
    z
      .enum(COMPUTE_PRECISIONS)
      .default('fp32')
      .describe(
        'amp: matrix products in half precision; fp16: their weights, too; part of the fingerprint of vectors',
      ),
  ),
  decodeThreads: setting(
    environment('DECODE_THREADS'),
    threads.describe('threads that decode images; none: as many as there are cores, four at most'),
  ),
} as const;
