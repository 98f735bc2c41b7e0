import { copyFile, link, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, writeCheckpoint } from '@online-cnclip/checkpoint';
import { replaceFileAtomically } from '@online-cnclip/foundation';
import type { CheckpointEvent } from './events.ts';
import { LATEST_CHECKPOINT } from './run-files.ts';
import type { LossScaleState, OptimizerOptions, TrainStep } from './train-step.ts';

/** What a checkpoint says, besides the research code's fields, about the order of the data that was trained on. */
export interface DataOrder {
  readonly seed: number;
  readonly batchSize: number;
  readonly pairs: number;
}

export interface TrainingPosition {
  /** From 1: the epoch of the last step. */
  readonly epoch: number;
  /** Trained so far. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  /** Of the last step. */
  readonly learningRate: number;
  /** Whether the validation that is due here, with its online steps, is still to come. */
  readonly validationPending?: boolean;
}

/** Writes an experiment's checkpoints. Each appears whole or not at all. */
export class CheckpointWriter {
  readonly #folder: string;
  readonly #name: string;
  readonly #order: DataOrder;
  readonly #optimizer: OptimizerOptions;

  constructor(folder: string, name: string, order: DataOrder, optimizer: OptimizerOptions) {
    this.#folder = folder;
    this.#name = name;
    this.#order = order;
    this.#optimizer = optimizer;
  }

  /**
   * Saves the state of now as `epoch_latest.pt`, and under the names given. The file is written once; further names
   * are hard links to it, so keeping an epoch costs no second write.
   */
  async save(
    step: TrainStep,
    position: TrainingPosition,
    names: readonly string[],
  ): Promise<CheckpointEvent[]> {
    const startedAt = performance.now();
    const [first = LATEST_CHECKPOINT, ...others] = [...names, LATEST_CHECKPOINT];
    const path = join(this.#folder, first);
    const { parameters, optimizer, lossScale } = await step.state();
    const { kind, ...settings } = this.#optimizer;
    await writeCheckpoint(path, {
      epoch: position.epoch,
      step: position.step,
      name: this.#name,
      parameters,
      optimizer: { kind, ...optimizer, settings: { ...settings, learningRate: position.learningRate } },
      extra: {
        ...this.#order,
        ...(lossScale && lossScaleExtra(lossScale)),
        ...(position.validationPending && { validationPending: true }),
        batchesInEpoch: position.step - (position.epoch - 1) * position.stepsPerEpoch,
      },
    });
    for (const name of others)
      await replaceFileAtomically(join(this.#folder, name), (temporary) => sameFile(path, temporary));
    const { size: bytes } = await stat(path);
    const seconds = (performance.now() - startedAt) / 1000;
    return [first, ...others].map((name) => ({
      kind: 'checkpoint',
      path: join(this.#folder, name),
      bytes,
      epoch: position.epoch,
      step: position.step,
      seconds,
    }));
  }
}

/** How a checkpoint names the state of loss scaling. */
const lossScaleExtra = ({ scale, goodSteps, skippedSteps }: LossScaleState) => ({
  lossScale: scale,
  lossScaleGoodSteps: goodSteps,
  skippedSteps,
});

/** The state of loss scaling in a checkpoint; absent where it was trained in single precision. */
export function lossScaleOf(extra: Checkpoint['extra']): LossScaleState | undefined {
  const number = (name: string) => (typeof extra?.[name] === 'number' ? extra[name] : undefined);
  const [scale, goodSteps] = [number('lossScale'), number('lossScaleGoodSteps')];
  if (scale === undefined || goodSteps === undefined) return undefined;
  return { scale, goodSteps, skippedSteps: number('skippedSteps') ?? 0 };
}

/** Errors of file systems that have no hard links. */
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

async function sameFile(existing: string, path: string): Promise<void> {
  try {
    await link(existing, path);
  } catch (error) {
    if (!NO_HARD_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(existing, path);
  }
}
