import type { CheckpointFormat, Json, OptimizerKind, Precision } from './checkpoint.ts';
import type { StoredType } from './element-types.ts';
import { isBuffer } from './naming/chinese-clip.ts';
import { openTensorFile } from './open-tensor-file.ts';
import { formatOf } from './read-checkpoint.ts';
import { precisionOf } from './tensor-file.ts';

export interface CheckpointSummary {
  readonly format: CheckpointFormat;
  readonly precision: Precision;
  readonly bytes: number;
  readonly epoch?: number | undefined;
  readonly step?: number | undefined;
  readonly name?: string | undefined;
  readonly extra?: Readonly<Record<string, Json>> | undefined;
  readonly optimizer?: { readonly kind: OptimizerKind | undefined; readonly step: number } | undefined;
  /** Values in parameters; buffers are not counted. */
  readonly parameterCount: number;
  /** By the names in the file. */
  readonly tensors: readonly {
    readonly name: string;
    readonly type: StoredType;
    readonly shape: readonly number[];
  }[];
}

/** Describes a checkpoint from its headers alone. @throws as readCheckpoint. */
export async function inspectCheckpoint(path: string): Promise<CheckpointSummary> {
  const file = await openTensorFile(path);
  try {
    const tensors = [...file.tensors].map(([name, { type, shape }]) => ({ name, type, shape }));
    return {
      format: formatOf(file),
      precision: precisionOf(tensors),
      bytes: file.bytes,
      ...file.details,
      optimizer: file.optimizer && { kind: file.optimizer.kind, step: file.optimizer.step },
      parameterCount: tensors
        .filter(({ name }) => !isBuffer(name))
        .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
      tensors,
    };
  } finally {
    await file.close();
  }
}
