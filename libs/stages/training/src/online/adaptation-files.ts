import { createWriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { replaceFileAtomically } from '@online-cnclip/foundation';
import type { OptimizerOptions, TrainStep } from '../train-step.ts';
import type { AdaptedEvent } from './adapt-ports.ts';
import type { OnlineSummary } from './online-events.ts';

export const adaptedCheckpointName = (startEpoch: number, epochs: number): string =>
  `epoch${startEpoch}_online_${epochs}.pt`;

export interface Adapted {
  readonly start: { readonly epoch: number; readonly step: number; readonly name: string };
  readonly epochs: number;
  readonly steps: number;
  readonly optimizer: OptimizerOptions;
  /** Of the last step. */
  readonly learningRate: number;
  readonly online: OnlineSummary;
}

/** The research code's file, with the optimizer state that belongs to these parameters. */
export async function writeAdaptedCheckpoint(
  folder: string,
  step: TrainStep,
  { start, epochs, steps, optimizer: { kind, ...settings }, learningRate, online }: Adapted,
): Promise<AdaptedEvent> {
  const startedAt = performance.now();
  await mkdir(folder, { recursive: true });
  const path = join(folder, adaptedCheckpointName(start.epoch, epochs));
  const { parameters, optimizer } = await step.state();
  await writeCheckpoint(path, {
    epoch: start.epoch,
    step: start.step + steps,
    name: start.name,
    parameters,
    optimizer: { kind, ...optimizer, settings: { ...settings, learningRate } },
    extra: { onlineScope: online.scope, onlineSteps: online.steps, onlinePairs: online.pairs },
  });
  const { size: bytes } = await stat(path);
  const seconds = (performance.now() - startedAt) / 1000;
  return { kind: 'checkpoint', path, bytes, step: start.step + steps, epoch: start.epoch, seconds };
}

/** Features in the order of the ids, cut into parts of any number of rows. */
export interface TextFeatures {
  readonly textIds: readonly string[];
  readonly parts: readonly Float32Array[];
}

/** `{"text_id": 1, "feature": [0.1, ...]}` per line, as extract_features.py writes it. */
export async function writeTextFeatures(path: string, features: TextFeatures): Promise<void> {
  await replaceFileAtomically(path, (temporaryPath) =>
    pipeline(lines(features), createWriteStream(temporaryPath)),
  );
}

function* lines({ textIds, parts }: TextFeatures): Generator<string> {
  const width = parts.reduce((total, part) => total + part.length, 0) / textIds.length;
  let row = 0;
  for (const part of parts)
    for (let start = 0; start < part.length; start += width) {
      const feature = Array.from(part.subarray(start, start + width)).join(', ');
      yield `{"text_id": ${textIds[row++]}, "feature": [${feature}]}\n`;
    }
}
