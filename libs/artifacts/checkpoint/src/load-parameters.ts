import { InvalidInputError, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import { fromBert, isBertNaming } from './naming/bert.ts';
import { isBuffer } from './naming/chinese-clip.ts';
import { isSquareGrid, resizePositionEmbedding } from './naming/position-embedding.ts';
import { readCheckpoint } from './read-checkpoint.ts';

/** What to take: everything, or one pretrained tower (clip-weight-path and bert-weight-path). */
export type ModelPart = 'all' | 'vision' | 'text';

export interface LoadOptions {
  /** 'vision': `visual.*` and logit_scale; 'text': `bert.*`. Default 'all'. */
  readonly part?: ModelPart;
  /** Parameters that may be absent (default: none); they are listed in the result. */
  readonly mayMiss?: (name: string) => boolean;
}

export interface LoadedParameters {
  /** In the order of the specs. */
  readonly parameters: NamedArrays;
  /** Parameters of the part that the file lacks, as `mayMiss` allowed. */
  readonly missing: readonly string[];
  /** Tensors of the file that no spec names. */
  readonly unused: readonly string[];
  /** Position embeddings that were interpolated to the model's resolution. */
  readonly resized: readonly string[];
}

const PARTS: Record<ModelPart, RegExp> = {
  all: /^/,
  vision: /^(visual\.|logit_scale$)/,
  text: /^bert\./,
};
const POSITION_EMBEDDING = 'visual.positional_embedding';

/**
 * Loads a model's parameters from any checkpoint, by Chinese-CLIP's names and shapes: `module.` is stripped, Hugging
 * Face's and plain BERT's names are mapped, ViT's position embedding is interpolated to another resolution.
 *
 * @param specs shape by name, in torch's layout.
 * @throws InvalidInputError naming every missing and misshaped tensor; and as {@link readCheckpoint}.
 */
export async function loadParameters(
  path: string,
  specs: ReadonlyMap<string, readonly number[]>,
  { part = 'all', mayMiss = () => false }: LoadOptions = {},
): Promise<LoadedParameters> {
  const stored = (await readCheckpoint(path, { skipOptimizer: true })).parameters;
  const tensors = isBertNaming(stored.keys()) ? fromBert(stored) : stored;
  const wanted = [...specs].filter(([name]) => PARTS[part].test(name));
  const parameters = new Map<string, NdArray>();
  const [missing, resized, problems]: [string[], string[], string[]] = [[], [], []];
  for (const [name, shape] of wanted) {
    const tensor = tensors.get(name);
    if (!tensor) (mayMiss(name) ? missing : problems).push(mayMiss(name) ? name : `${name} is missing`);
    else if (tensor.dtype !== 'float32' && !isBuffer(name))
      problems.push(`${name} is ${tensor.dtype}, not float32`);
    else if (sameShape(tensor.shape, shape)) parameters.set(name, tensor);
    else if (name === POSITION_EMBEDDING && canResize(tensor, shape)) {
      parameters.set(name, resizePositionEmbedding(tensor, shape[0] as number));
      resized.push(name);
    } else problems.push(`${name} is [${tensor.shape}], not [${shape}]`);
  }
  if (problems.length)
    throw new InvalidInputError(`does not fit the model: ${problems.join('; ')}`, { place: path });
  const unused = [...tensors.keys()].filter((name) => !parameters.has(name));
  return { parameters, missing, unused, resized };
}

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

function canResize(tensor: NdArray, [rows = 0, width]: readonly number[]): tensor is NdArray<'float32'> {
  const [oldRows = 0, oldWidth] = tensor.shape;
  return tensor.shape.length === 2 && oldWidth === width && isSquareGrid(oldRows) && isSquareGrid(rows);
}
