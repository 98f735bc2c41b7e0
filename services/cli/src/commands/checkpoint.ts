import {
  type AttentionHeads,
  type CheckpointSummary,
  convertCheckpoint,
  inspectCheckpoint,
  stripCheckpoint,
  TARGET_FORMATS,
  type TargetFormat,
} from '@online-cnclip/checkpoint';
import { InvalidInputError } from '@online-cnclip/foundation';
import { resolveModelConfig } from '@online-cnclip/network';
import { type Command, Option } from 'commander';
import type { CliContext } from '../context.ts';

interface ConvertOptions {
  readonly format?: TargetFormat;
  readonly modulePrefix: boolean;
  readonly visionModel?: string;
  readonly textModel?: string;
}

interface InspectOptions {
  readonly tensors?: boolean;
  readonly json?: boolean;
}

const SOURCE = 'a .pt, a .safetensors, or a folder of Hugging Face';

export function configure(command: Command, context: CliContext): void {
  command
    .command('convert')
    .description('Converts a checkpoint to another format.')
    .argument('<from>', SOURCE)
    .argument('<to>', 'its extension tells the format; without one it is a folder for Hugging Face')
    .addOption(
      new Option('--format <name>', "the format, where the extension doesn't tell").choices(TARGET_FORMATS),
    )
    .option('--no-module-prefix', 'write names into a .pt without "module."')
    .option(
      '--vision-model <name>',
      "to Hugging Face: preset that tells the image tower's attention heads [64 wide]",
    )
    .option(
      '--text-model <name>',
      "to Hugging Face: preset that tells the text tower's attention heads [64 wide]",
    )
    .action(async (from: string, to: string, { visionModel, textModel, ...options }: ConvertOptions) => {
      const heads = headsOf(visionModel, textModel);
      const { format, dropped } = await convertCheckpoint(from, to, { ...options, ...heads });
      const without = dropped.length === 0 ? '' : `, which has no place for: ${dropped.join(', ')}`;
      context.print(`${to}: ${format}${without}`);
    });
  command
    .command('inspect')
    .description('Describes a checkpoint from its headers.')
    .argument('<file>', SOURCE)
    .option('--tensors', 'list every tensor')
    .option('--json', 'as JSON')
    .action(async (file: string, options: InspectOptions) => {
      const summary = await inspectCheckpoint(file);
      context.print(options.json ? asJson(summary, options) : describe(summary, options));
    });
  command
    .command('strip')
    .description('Writes a .pt with what inference needs only: neither optimizer nor bookkeeping.')
    .argument('<from>', SOURCE)
    .argument('<to>', 'a .pt')
    .action(async (from: string, to: string) => {
      await stripCheckpoint(from, to);
      const { bytes } = await inspectCheckpoint(to);
      context.print(`${to}: ${megabytes(bytes)}`);
    });
}

/** What a checkpoint does not tell, told by the names of its towers. */
function headsOf(visionModel: string | undefined, textModel: string | undefined): AttentionHeads {
  if (visionModel === undefined && textModel === undefined) return {};
  if (visionModel === undefined || textModel === undefined)
    throw new InvalidInputError('one needs the other', { place: '--vision-model, --text-model' });
  const { vision, text } = resolveModelConfig(visionModel, textModel);
  return { visionHeads: vision.width / vision.headWidth, textHeads: text.heads };
}

function describe(summary: CheckpointSummary, { tensors }: InspectOptions): string {
  const { format, precision, bytes, epoch, step, name, optimizer, parameterCount } = summary;
  const kind = optimizer && `${optimizer.kind ?? 'of unknown kind'}, ${optimizer.step} updates`;
  const facts = {
    format,
    precision,
    size: megabytes(bytes),
    parameters: parameterCount.toLocaleString('en'),
    tensors: summary.tensors.length,
    name,
    epoch,
    step,
    optimizer: kind ?? 'none',
  };
  const lines = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key.padEnd(11)} ${value}`);
  if (tensors)
    lines.push(...summary.tensors.map(({ name, type, shape }) => `  ${name} ${type} [${shape.join(', ')}]`));
  return lines.join('\n');
}

function asJson({ tensors, ...summary }: CheckpointSummary, options: InspectOptions): string {
  return JSON.stringify({ ...summary, tensors: options.tensors ? tensors : tensors.length }, null, 2);
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
