import { InvalidInputError } from '@online-cnclip/foundation';
import { normalizeQuery } from '@online-cnclip/image-cache';
import type { QueryBatch } from './online-batches.ts';

/** Slices in their order; the last may be shorter. */
export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

/** Batches of every epoch in the order of the file; epoch n takes image n mod `imagesPerQuery` of each query. */
export function* plannedBatches(
  texts: readonly string[],
  { batchSize, epochs, imagesPerQuery }: { batchSize: number; epochs: number; imagesPerQuery: number },
): Generator<QueryBatch> {
  for (let epoch = 0; epoch < epochs; epoch++)
    for (const batch of chunks(texts, batchSize))
      yield { texts: batch, number: (epoch % imagesPerQuery) + 1 };
}

/**
 * Queries that may be stepped on without meeting one that is scored: those that differ from each scored one in more
 * than spaces and punctuation, each once.
 *
 * @throws InvalidInputError when none is left.
 */
export function withoutScored(others: readonly string[], scored: readonly string[], place: string): string[] {
  const seen = new Set(scored.map(normalizeQuery));
  const kept = others.filter((text) => {
    const key = normalizeQuery(text);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  if (kept.length === 0)
    throw new InvalidInputError(`all ${others.length} queries are scored themselves`, { place });
  return kept;
}
