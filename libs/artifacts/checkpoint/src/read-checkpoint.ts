import type { NamedArrays } from '@online-cnclip/foundation';
import type { StoredCheckpoint } from './checkpoint.ts';
import { stripModulePrefix } from './naming/chinese-clip.ts';
import { fromHuggingFace, isHuggingFaceNaming } from './naming/huggingface.ts';
import { openTensorFile } from './open-tensor-file.ts';
import { precisionOf, readTensors, type TensorFile } from './tensor-file.ts';

export interface ReadOptions {
  /** Leaves the optimizer's moments (two thirds of a training checkpoint) unread. */
  readonly skipOptimizer?: boolean;
}

/**
 * Reads a checkpoint: torch's .pt (zip or legacy), safetensors, or a Hugging Face folder. Names come back as
 * Chinese-CLIP's, without `module.`; fp16 and bf16 as float32. Tied weights share one array.
 *
 * Memory: what is returned, at most about twice the file's size. No code of the file is run.
 * @throws NotFoundError, InvalidInputError (another kind of file, a refused global), DataLossError (damaged).
 */
export async function readCheckpoint(path: string, options: ReadOptions = {}): Promise<StoredCheckpoint> {
  const file = await openTensorFile(path);
  try {
    const stored = await readTensors(file);
    const optimizer = options.skipOptimizer ? undefined : await file.optimizer?.read();
    return {
      ...file.details,
      parameters: chineseClipNames(file, stored),
      optimizer,
      format: formatOf(file),
      precision: precisionOf(file.tensors.values()),
    };
  } finally {
    await file.close();
  }
}

export const formatOf = (file: TensorFile): StoredCheckpoint['format'] =>
  isHuggingFaceNaming(file.tensors.keys()) ? 'huggingface' : file.format;

/** Tensors under Chinese-CLIP's names, whatever the file calls them. */
export function chineseClipNames(file: TensorFile, tensors: NamedArrays): NamedArrays {
  const stripped = stripModulePrefix(tensors, file.path);
  return isHuggingFaceNaming(stripped.keys()) ? fromHuggingFace(stripped, file.path) : stripped;
}
