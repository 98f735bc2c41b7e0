import { createTrainerClient } from '@online-cnclip/client';
import { sizeOf } from '@online-cnclip/foundation';
import {
  bufferNames,
  type ModelConfig,
  parameterSpecs,
  TEXT_PRESETS,
  type TextConfig,
  VISION_PRESETS,
  type VisionConfig,
} from '@online-cnclip/network';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { addressOption, withClient } from '../services.ts';

export function configure(command: Command, context: CliContext): void {
  command
    .command('list')
    .description('Lists the presets of both towers with their numbers of parameters.')
    .action(() => {
      for (const line of [...visionTable(), '', ...textTable()]) context.print(line);
    });
  const rollback = command
    .command('rollback')
    .description('Has the encoder serve what it served before the trainer gave it an adapted checkpoint.');
  addressOption(rollback, 'trainer').action(async ({ address }: { readonly address: string }) => {
    const signal = context.stopSignal();
    const { checkpointPath, replacedCheckpointPath } = await withClient(
      context,
      createTrainerClient,
      address,
      (trainer) => trainer.rollBackModel({}, { signal }),
    );
    context.print(`${checkpointPath} is served again, in the place of ${replacedCheckpointPath}`);
  });
}

const [anyVision] = Object.values(VISION_PRESETS) as [VisionConfig];
const [anyText] = Object.values(TEXT_PRESETS) as [TextConfig];

function visionTable(): string[] {
  const rows = Object.entries(VISION_PRESETS).map(([name, vision]) => [
    name,
    String(vision.layers),
    String(vision.width),
    String(vision.imageResolution),
    vision.kind === 'vit' ? String(vision.patchSize) : '-',
    String(vision.embedDim),
    millions(countParameters({ vision, text: anyText }, 'visual.')),
  ]);
  return table(['--vision-model', 'layers', 'width', 'image', 'patch', 'embedding', 'parameters'], rows);
}

function textTable(): string[] {
  const rows = Object.entries(TEXT_PRESETS).map(([name, text]) => [
    name,
    String(text.layers),
    String(text.hiddenSize),
    String(text.heads),
    millions(countParameters({ vision: anyVision, text }, 'bert.')),
  ]);
  return table(['--text-model', 'layers', 'hidden', 'heads', 'parameters'], rows);
}

/** Of one tower; both together have a projection and the logit scale besides. */
function countParameters(config: ModelConfig, prefix: string): number {
  const buffers = bufferNames(config);
  return [...parameterSpecs(config)]
    .filter(([name]) => name.startsWith(prefix) && !buffers.has(name))
    .reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
}

const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;

/** Columns as wide as they need to be; the first to the left, numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  );
}
