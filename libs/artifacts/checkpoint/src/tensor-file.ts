import type { NamedArrays, NdArray } from '@online-cnclip/foundation';
import type { Checkpoint, OptimizerKind, OptimizerState, Precision } from './checkpoint.ts';
import type { StoredType } from './element-types.ts';

export interface StoredTensor {
  readonly type: StoredType;
  readonly shape: readonly number[];
}

/** An open file whose header was read and checked, and whose tensors are read one by one. */
export interface TensorFile {
  readonly path: string;
  readonly format: 'torch-zip' | 'torch-legacy' | 'safetensors';
  readonly bytes: number;
  readonly details: Pick<Checkpoint, 'epoch' | 'step' | 'name' | 'extra'>;
  /** The model's tensors by the names in the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly optimizer?: StoredOptimizer;
  read(name: string): Promise<NdArray>;
  close(): Promise<void>;
}

export interface StoredOptimizer {
  readonly kind: OptimizerKind | undefined;
  readonly step: number;
  read(): Promise<OptimizerState>;
}

/** Reads the named tensors (all by default), in the file's order. */
export async function readTensors(
  file: TensorFile,
  names: Iterable<string> = file.tensors.keys(),
): Promise<NamedArrays> {
  const arrays = new Map<string, NdArray>();
  for (const name of names) arrays.set(name, await file.read(name));
  return arrays;
}

/** The precision that most of the floating-point values have. */
export function precisionOf(tensors: Iterable<StoredTensor>): Precision {
  const counts = { fp32: 0, fp16: 0, bf16: 0 };
  for (const { type, shape } of tensors) {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    if (type === 'float16') counts.fp16 += size;
    else if (type === 'bfloat16') counts.bf16 += size;
    else counts.fp32 += size;
  }
  if (counts.fp16 > counts.fp32 && counts.fp16 >= counts.bf16) return 'fp16';
  return counts.bf16 > counts.fp32 ? 'bf16' : 'fp32';
}
