// A batch's texts have a few hundred of the vocabulary's words. As rows, one per token, the gradient by their embeddings is as
// small as that; as a matrix it is mostly zeros, and the model's largest.
import * as tf from '@tensorflow/tfjs-core';
import { at, type Tensors } from './tensors.ts';

export const WORD_EMBEDDINGS = 'bert.embeddings.word_embeddings.weight';

/** Name of the embeddings of a batch's tokens, float32 `[batch * length, hidden]`, among what is differentiated. */
export const WORD_ROWS = 'word_rows';

export function wordRows(weights: Tensors, inputIds: tf.Tensor): tf.Tensor2D {
  const ids = tf.reshape(inputIds, [inputIds.size]) as tf.Tensor1D;
  return tf.gather(at(weights, WORD_EMBEDDINGS), ids) as tf.Tensor2D;
}

/** What a program differentiates by: trained parameters, the rows of words in the place of their matrix where asked for. */
export function variablesOf(tensors: Tensors, trained: readonly string[], byRows: boolean): Tensors {
  const names = byRows ? trained.filter((name) => name !== WORD_EMBEDDINGS) : trained;
  return {
    ...Object.fromEntries(names.map((name) => [name, at(tensors, name)])),
    ...(byRows && { [WORD_ROWS]: wordRows(tensors, at(tensors, 'input_ids')) }),
  };
}
