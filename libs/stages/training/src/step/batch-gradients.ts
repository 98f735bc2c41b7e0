import type { Collectives } from '@online-cnclip/collectives';
import type { NdArray } from '@online-cnclip/foundation';
import type { ModelConfig, ReplicaOptions } from '@online-cnclip/network';
import type { Precision, RunArray, Runtime } from '@online-cnclip/runtime';
import type { LossKind } from '../train-step.ts';
import type { Arena } from './arena.ts';
import type { DropoutDraw } from './dropout-masks.ts';
import type { WordGradient } from './word-gradient.ts';

/** This replica's pairs of one step. */
export interface GradientBatch {
  readonly images: NdArray<'float32'>;
  readonly inputIds: NdArray<'int32'>;
  /** Of every pair that the loss is over; absent: all are strangers. */
  readonly pairKeys: NdArray<'int32'> | undefined;
  readonly dropout: DropoutDraw;
  /** What gradients are multiplied by. */
  readonly lossScale: number;
}

export interface BatchOutcome {
  readonly loss: number;
  readonly imageToTextAccuracy: number;
  readonly textToImageAccuracy: number;
  /** The next running statistics, by name. */
  readonly statistics: ReadonlyMap<string, Float32Array>;
}

/** Computes the gradients of a batch. */
export interface BatchGradients {
  /** Overwrites the arena of gradients with this replica's. */
  run(batch: GradientBatch): Promise<BatchOutcome>;
  dispose(): Promise<void>;
}

export interface GradientSettings {
  readonly config: ModelConfig;
  readonly runtime: Runtime;
  readonly batchSize: number;
  readonly loss: LossKind;
  readonly freezeVision: boolean;
  readonly collectives: Collectives;
  readonly replicas: ReplicaOptions | undefined;
  readonly parameters: ReadonlyMap<string, RunArray>;
  readonly gradients: Arena;
  readonly words: WordGradient;
  readonly precision?: Precision | undefined;
  /** Whether gradients are multiplied by a step's loss scale. */
  readonly lossScaled?: boolean | undefined;
}

/** The observed scalars of a program's outputs. */
export function outcomeOf(
  outputs: Readonly<Record<string, NdArray>>,
  statistics: ReadonlyMap<string, Float32Array>,
): BatchOutcome {
  const value = (name: string) => Number(outputs[name]?.data[0]);
  return {
    loss: value('loss'),
    imageToTextAccuracy: value('image_to_text_accuracy'),
    textToImageAccuracy: value('text_to_image_accuracy'),
    statistics,
  };
}

/**
 * Rows of the global batch that this replica has: row j of each replica stands beside row j of the others, as the
 * sampler deals pairs out.
 */
export function globalRows(
  replicas: ReplicaOptions | undefined,
  first: number,
  count: number,
): readonly number[] {
  const { rank, worldSize } = replicas ?? { rank: 0, worldSize: 1 };
  return Array.from({ length: count }, (_, i) => (first + i) * worldSize + rank);
}

/** Without the columns that are padding in every row: the model masks padding, so its answers are the same. */
export function trimPadding(inputIds: NdArray<'int32'>): NdArray<'int32'> {
  const [rows = 0, columns = 0] = inputIds.shape;
  const { data } = inputIds;
  let length = columns;
  const isPadding = (column: number) => {
    for (let row = 0; row < rows; row++) if (data[row * columns + column] !== 0) return false;
    return true;
  };
  while (length > 1 && isPadding(length - 1)) length--;
  if (length === columns) return inputIds;
  const trimmed = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++)
    trimmed.set(data.subarray(row * columns, row * columns + length), row * length);
  return { dtype: 'int32', shape: [rows, length], data: trimmed };
}
