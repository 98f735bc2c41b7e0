import { loadEncoderModel } from '@online-cnclip/encoding';
import { InvalidInputError } from '@online-cnclip/foundation';
import { COMPUTE_PRECISIONS, type ComputePrecision } from '@online-cnclip/network';
import { createOnnxRuntime, type Device } from '@online-cnclip/runtime';
import { MAX_CONTEXT_LENGTH } from '@online-cnclip/tokenizer';
import { type Command, Option } from 'commander';
import { countOption, deviceOption, threadsOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addSplitOptions } from '../data-path.ts';
import { type EncodeOptions, encodeFiles, type Job, jobsOf } from '../encode-files.ts';

interface Given extends EncodeOptions {
  readonly contextLength: number;
  readonly resume: string;
  readonly visionModel: string;
  readonly textModel: string;
  readonly debug?: boolean;
  readonly threads?: number;
  readonly device: Device;
  readonly precision: ComputePrecision;
}

/** Chinese-CLIP's own default. */
const CONTEXT_LENGTH = 52;
/** [CLS], one token, [SEP]. */
const MIN_CONTEXT_LENGTH = 3;
const BATCH_SIZE = 64;
const MAX_BATCH_SIZE = 1024;

export function configure(command: Command, context: CliContext): void {
  command
    .description("Writes the features of images and texts as Chinese-CLIP's extract_features.py does.")
    .option('--extract-image-feats', 'encode the images')
    .option('--extract-text-feats', 'encode the texts')
    .option('--image-data <path>', "LMDB folder of a split's images (.../imgs), or an _imgs.tsv")
    .option('--text-data <path>', 'a _texts.jsonl')
    .option('--image-feat-output-path <path>', 'where the features of images go [beside the texts]')
    .option('--text-feat-output-path <path>', 'where the features of texts go [beside the texts]');
  const batch = { most: MAX_BATCH_SIZE, initial: BATCH_SIZE };
  countOption(command, '--img-batch-size <n>', 'images read and decoded at a time', batch);
  countOption(command, '--text-batch-size <n>', 'texts read and tokenized at a time', batch);
  countOption(command, '--context-length <n>', 'tokens of a text, [CLS] and [SEP] included', {
    least: MIN_CONTEXT_LENGTH,
    most: MAX_CONTEXT_LENGTH,
    initial: CONTEXT_LENGTH,
  });
  command
    .requiredOption('--resume <path>', 'checkpoint of the model')
    .addOption(
      new Option('--precision <name>', 'amp: matrix products in half precision; fp16: their weights, too')
        .choices(COMPUTE_PRECISIONS)
        .default('fp32'),
    )
    .option('--vision-model <name>', 'preset of the image tower', 'ViT-B-16')
    .option('--text-model <name>', 'preset of the text tower', 'RoBERTa-wwm-ext-base-chinese')
    .option('--debug', 'show what the model is');
  addSplitOptions(command, context);
  deviceOption(command);
  threadsOption(command);
  command.action((given: Given) => encode(given, context));
}

async function encode(given: Given, context: CliContext): Promise<void> {
  const jobs: readonly Job[] = jobsOf(given);
  if (jobs.length === 0)
    throw new InvalidInputError('nothing to do: give one of them or both', {
      place: '--extract-image-feats, --extract-text-feats',
    });
  const { threads, device, resume, visionModel, textModel, contextLength, precision } = given;
  const signal = context.stopSignal();
  const model = await loadEncoderModel({
    path: resume,
    visionModel,
    textModel,
    contextLength,
    precision,
    createRuntime: () => createOnnxRuntime({ device, ...(threads === undefined ? {} : { threads }) }),
  });
  try {
    if (given.debug)
      for (const [name, value] of Object.entries(model.description))
        context.progress.note(`${name}: ${value}`);
    await encodeFiles(model, jobs, { ...context, signal });
  } finally {
    await model.dispose();
  }
}
