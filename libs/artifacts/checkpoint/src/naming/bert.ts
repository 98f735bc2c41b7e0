import type { NamedArrays, NdArray } from '@online-cnclip/foundation';

// Weights of BERT's pre-training heads and pooler, which the text tower has not.
const IGNORED = /^(cls\.|bert\.pooler\.|pooler\.|bert\.embeddings\.position_ids$|embeddings\.position_ids$)/;

/** Whether the names are a plain BERT's, e.g. of RoBERTa-wwm-ext, with or without `bert.` in front. */
export function isBertNaming(names: Iterable<string>): boolean {
  const all = [...names];
  const isBert = all.some((name) => /^(bert\.)?embeddings\.word_embeddings\.weight$/.test(name));
  return isBert && !all.some((name) => name.startsWith('visual.') || name === 'text_projection');
}

/**
 * A plain BERT's tensors as the text tower names them: `bert.` in front, LayerNorm's `gamma` and `beta` of files
 * converted from TensorFlow as `weight` and `bias`, heads and pooler left out.
 */
export function fromBert(tensors: NamedArrays): NamedArrays {
  const renamed = new Map<string, NdArray>();
  for (const [name, array] of tensors) {
    if (IGNORED.test(name)) continue;
    const modern = name
      .replace(/\.LayerNorm\.gamma$/, '.LayerNorm.weight')
      .replace(/\.LayerNorm\.beta$/, '.LayerNorm.bias');
    renamed.set(modern.startsWith('bert.') ? modern : `bert.${modern}`, array);
  }
  return renamed;
}
