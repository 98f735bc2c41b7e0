import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { mersenne } from 'pure-rand/generator/mersenne';

/** Batches of an epoch: the last one is filled up, so each is full. */
export const batchesPerEpoch = (pairs: number, batchSize: number): number => Math.ceil(pairs / batchSize);

/**
 * The order of an epoch: indices of pairs, a whole number of batches. As in the research code the data set is padded
 * to full batches by going around from its start, and the padded set is shuffled; seed and epoch give the order.
 */
export function epochOrder(pairs: number, batchSize: number, seed: number, epoch: number): Uint32Array {
  const order = new Uint32Array(batchesPerEpoch(pairs, batchSize) * batchSize);
  for (let i = 0; i < order.length; i++) order[i] = i % pairs;
  const generator = mersenne((seed + epoch) | 0);
  for (let last = order.length - 1; last > 0; last--) {
    const other = uniformInt(generator, 0, last);
    const value = order[last] as number;
    order[last] = order[other] as number;
    order[other] = value;
  }
  return order;
}
