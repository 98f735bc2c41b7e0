import { mkdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { InvalidInputError, writeFileAtomically } from '@online-cnclip/foundation';
import type { Checkpoint } from './checkpoint.ts';
import { inspectCheckpoint } from './inspect-checkpoint.ts';
import { toHuggingFace } from './naming/huggingface.ts';
import { type AttentionHeads, huggingFaceConfig } from './naming/huggingface-config.ts';
import { readCheckpoint } from './read-checkpoint.ts';
import { writeSafetensors } from './safetensors/write-safetensors.ts';
import { writeCheckpoint } from './torch/write-checkpoint.ts';

export const TARGET_FORMATS = ['pt', 'pt-fp16', 'safetensors', 'huggingface'] as const;
export type TargetFormat = (typeof TARGET_FORMATS)[number];

export interface ConvertOptions extends AttentionHeads {
  /** Default: by the target's extension (.pt, .pth, .bin; .safetensors; none: a Hugging Face folder). */
  readonly format?: TargetFormat | undefined;
  /** Whether a .pt's names carry `module.` (default true). */
  readonly modulePrefix?: boolean | undefined;
}

export interface Conversion {
  readonly format: TargetFormat;
  /** What the source has and the target format has no place for. */
  readonly dropped: readonly ('optimizer' | 'extra')[];
}

/**
 * Converts between formats: .pt (`pt-fp16`: parameters in half precision, the optimizer untouched), safetensors with
 * Chinese-CLIP's names, or a folder with config.json and model.safetensors for transformers' ChineseCLIPModel.
 *
 * @throws as readCheckpoint, InvalidInputError for an unknown extension, UnsupportedError for RN50 to Hugging Face.
 */
export async function convertCheckpoint(
  from: string,
  to: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  const format = options.format ?? formatOfPath(to);
  const isTorch = format === 'pt' || format === 'pt-fp16';
  const source = await inspectCheckpoint(from);
  const checkpoint = await readCheckpoint(from, { skipOptimizer: !isTorch });
  if (isTorch)
    await writeCheckpoint(to, checkpoint, {
      precision: format === 'pt-fp16' ? 'fp16' : 'fp32',
      modulePrefix: options.modulePrefix ?? true,
    });
  else if (format === 'safetensors')
    await writeSafetensors(to, checkpoint.parameters, { metadata: metadataOf(checkpoint) });
  else await writeHuggingFace(to, checkpoint, options);
  const dropped = (['optimizer', 'extra'] as const).filter((part) => !isTorch && source[part]);
  return { format, dropped };
}

/**
 * Writes a checkpoint of any format as a .pt with what inference needs only: neither optimizer nor the trainer's
 * bookkeeping, in the precision that it has.
 *
 * @throws as readCheckpoint
 */
export async function stripCheckpoint(from: string, to: string): Promise<void> {
  const { epoch, step, name, parameters, precision } = await readCheckpoint(from, { skipOptimizer: true });
  await writeCheckpoint(to, { epoch, step, name, parameters }, { precision });
}

/** Writes config.json and model.safetensors as transformers' `from_pretrained` wants them. */
export async function writeHuggingFace(
  folder: string,
  checkpoint: Checkpoint,
  heads: AttentionHeads = {},
): Promise<void> {
  const tensors = toHuggingFace(checkpoint.parameters);
  const config = huggingFaceConfig(checkpoint.parameters, heads);
  await mkdir(folder, { recursive: true });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { metadata: metadataOf(checkpoint) });
  await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(config, null, 1)}\n`);
}

function formatOfPath(path: string): TargetFormat {
  const extension = extname(path);
  if (['.pt', '.pth', '.bin'].includes(extension)) return 'pt';
  if (extension === '.safetensors') return 'safetensors';
  if (extension === '') return 'huggingface';
  throw new InvalidInputError('has an extension that tells no format: name one', { place: path });
}

function metadataOf({ epoch, step, name }: Checkpoint): Record<string, string> {
  const details = Object.entries({ epoch, step, name }).filter(([, value]) => value !== undefined);
  // transformers refuses files without this entry.
  return { format: 'pt', ...Object.fromEntries(details.map(([key, value]) => [key, String(value)])) };
}
