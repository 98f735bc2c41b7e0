import { DataLossError, type NamedArrays, type NdArray, UnsupportedError } from '@online-cnclip/foundation';

/** Rules between transformers' ChineseCLIPModel (left) and Chinese-CLIP (right); `*` is a layer's number. */
const RENAMED: readonly (readonly [huggingFace: string, chineseClip: string])[] = [
  ['logit_scale', 'logit_scale'],
  ['vision_model.embeddings.class_embedding', 'visual.class_embedding'],
  ['vision_model.embeddings.position_embedding.weight', 'visual.positional_embedding'],
  ['vision_model.embeddings.patch_embedding.weight', 'visual.conv1.weight'],
  // The spelling is transformers' own.
  ...pair('vision_model.pre_layrnorm', 'visual.ln_pre'),
  ...pair('vision_model.encoder.layers.*.layer_norm1', 'visual.transformer.resblocks.*.ln_1'),
  ...pair('vision_model.encoder.layers.*.layer_norm2', 'visual.transformer.resblocks.*.ln_2'),
  ...pair('vision_model.encoder.layers.*.mlp.fc1', 'visual.transformer.resblocks.*.mlp.c_fc'),
  ...pair('vision_model.encoder.layers.*.mlp.fc2', 'visual.transformer.resblocks.*.mlp.c_proj'),
  ...pair('vision_model.encoder.layers.*.self_attn.out_proj', 'visual.transformer.resblocks.*.attn.out_proj'),
  ...pair('vision_model.post_layernorm', 'visual.ln_post'),
];
const TRANSPOSED: readonly (readonly [huggingFace: string, chineseClip: string])[] = [
  ['visual_projection.weight', 'visual.proj'],
  ['text_projection.weight', 'text_projection'],
];
const TEXT = ['text_model.', 'bert.'] as const;
// Present in some published files; Chinese-CLIP has neither.
const IGNORED = /^(text_model\.pooler\..*|(text|vision)_model\.embeddings\.position_ids)$/;
const FUSED = /^vision_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)$/;
const IN_PROJECTION = /^visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$/;

function pair(huggingFace: string, chineseClip: string) {
  return (['weight', 'bias'] as const).map(
    (kind) => [`${huggingFace}.${kind}`, `${chineseClip}.${kind}`] as const,
  );
}

export const isHuggingFaceNaming = (names: Iterable<string>): boolean =>
  [...names].some((name) => name.startsWith('vision_model.') || name.startsWith('text_model.'));

/**
 * ChineseCLIPModel's tensors under Chinese-CLIP's names: query, key and value joined into `in_proj`, the two
 * projections transposed. Names that neither has are kept, for the caller to report.
 *
 * @throws DataLossError when part of an attention's query, key and value is missing.
 */
export function fromHuggingFace(tensors: NamedArrays, place: string): NamedArrays {
  const renamed = new Map<string, NdArray>();
  for (const [name, array] of tensors) {
    if (IGNORED.test(name)) continue;
    const fused = FUSED.exec(name);
    const projection = TRANSPOSED.find(([from]) => from === name)?.[1];
    if (projection) renamed.set(projection, transpose(array, `${place}: ${name}`));
    else if (!fused) renamed.set(translate(name, 'fromHuggingFace'), array);
    else if (fused[2] === 'q') {
      const target = `visual.transformer.resblocks.${fused[1]}.attn.in_proj_${fused[3]}`;
      const parts = ['q', 'k', 'v'].map((part) => name.replace('.q_proj.', `.${part}_proj.`));
      renamed.set(target, joinRows(parts, tensors, place));
    }
  }
  return renamed;
}

/** The reverse. @throws UnsupportedError for a tensor without a place in ChineseCLIPModel (RN50's). */
export function toHuggingFace(parameters: NamedArrays): NamedArrays {
  const renamed = new Map<string, NdArray>();
  for (const [name, array] of parameters) {
    const projection = TRANSPOSED.find(([, to]) => to === name)?.[0];
    const fused = IN_PROJECTION.exec(name);
    if (projection) renamed.set(projection, transpose(array, name));
    else if (fused) {
      const [q, k, v] = splitRows(array, 3);
      for (const [part, rows] of Object.entries({ q, k, v }))
        renamed.set(
          `vision_model.encoder.layers.${fused[1]}.self_attn.${part}_proj.${fused[2]}`,
          rows as NdArray,
        );
    } else {
      const translated = translate(name, 'toHuggingFace');
      if (translated === name && name !== 'logit_scale')
        throw new UnsupportedError('has no place in ChineseCLIPModel, which has ViT towers only', {
          place: name,
        });
      renamed.set(translated, array);
    }
  }
  return renamed;
}

type Direction = 'fromHuggingFace' | 'toHuggingFace';

const TABLES: Record<Direction, ReadonlyMap<string, string>> = {
  fromHuggingFace: new Map([
    ...RENAMED,
    ...pair('vision_model.pre_layernorm', 'visual.ln_pre'), // in case the spelling is ever mended
  ]),
  toHuggingFace: new Map(RENAMED.map(([from, to]) => [to, from])),
};

function translate(name: string, direction: Direction): string {
  const [from, to] = direction === 'fromHuggingFace' ? TEXT : TEXT.toReversed();
  if (name.startsWith(from as string)) return to + name.slice((from as string).length);
  const layer = /\.(\d+)\./.exec(name)?.[1];
  const pattern = layer === undefined ? name : name.replace(`.${layer}.`, '.*.');
  return TABLES[direction].get(pattern)?.replace('*', layer ?? '*') ?? name;
}

function transpose({ dtype, shape, data }: NdArray, place: string): NdArray {
  const [rows, columns] = shape;
  if (dtype !== 'float32' || rows === undefined || columns === undefined || shape.length !== 2)
    throw new DataLossError(`is ${dtype} [${shape}], not a float32 matrix`, { place });
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = data[row * columns + column] as number;
  return { dtype, shape: [columns, rows], data: result };
}

function joinRows(names: readonly string[], tensors: NamedArrays, place: string): NdArray {
  const parts = names.map((name) => {
    const array = tensors.get(name);
    if (array?.dtype === 'float32' && array.shape.length > 0) return array as NdArray<'float32'>;
    throw new DataLossError(`tensor "${name}" is missing or not float32`, { place });
  });
  const [first = 0, ...rest] = parts[0]?.shape ?? [];
  if (parts.some(({ shape }) => shape.join() !== [first, ...rest].join()))
    throw new DataLossError(`${names.join(', ')} differ in shape`, { place });
  const data = new Float32Array(parts.reduce((size, part) => size + part.data.length, 0));
  for (const [i, part] of parts.entries()) data.set(part.data, i * part.data.length);
  return { dtype: 'float32', shape: [first * parts.length, ...rest], data };
}

function splitRows({ dtype, shape, data }: NdArray, count: number): NdArray[] {
  const [rows = 0, ...rest] = shape;
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => ({
    dtype,
    shape: [rows / count, ...rest],
    data: data.subarray(i * size, (i + 1) * size),
  })) as NdArray[];
}
