export interface TextBatchLimits {
  readonly maxTexts: number;
  /** Padding included. */
  readonly maxTokens: number;
  /** Fixed cost of a run, in tokens. */
  readonly overheadTokens: number;
}

/**
 * Picks the texts to compute together with the oldest one. A batch costs its size times its longest text (the
 * others are padded to it) plus a fixed overhead: the texts, sorted by length, are cut into the cheapest runs, and the
 * run that holds the oldest text is the one to do now.
 *
 * @param lengths tokens per text, oldest first.
 * @returns indices into `lengths`, index 0 among them. A text over the token limit goes alone.
 */
export function planTextBatch(lengths: readonly number[], limits: TextBatchLimits): number[] {
  const byLength = lengths.map((_, index) => index).sort((a, b) => lengthAt(a) - lengthAt(b) || a - b);
  const starts = cheapestCuts(
    byLength.map((index) => lengthAt(index)),
    limits,
  );
  const oldest = byLength.indexOf(0);
  for (let end = byLength.length; end > 0; end = starts[end] ?? 0) {
    const start = starts[end] ?? 0;
    if (start <= oldest) return byLength.slice(start, end);
  }
  return [0];

  function lengthAt(index: number): number {
    return lengths[index] ?? 0;
  }
}

/** For each end in the ascending lengths, where its run starts in the cheapest way to cut all before it. */
function cheapestCuts(ascending: readonly number[], limits: TextBatchLimits): number[] {
  const { maxTexts, maxTokens, overheadTokens } = limits;
  const costs = [0];
  const starts = [0];
  for (let end = 1; end <= ascending.length; end++) {
    const longest = ascending[end - 1] ?? 0;
    let [cost, start] = [Number.POSITIVE_INFINITY, end - 1];
    for (let first = end - 1; first >= Math.max(0, end - maxTexts); first--) {
      const tokens = (end - first) * longest;
      if (tokens > maxTokens && first < end - 1) break;
      const total = (costs[first] ?? 0) + overheadTokens + tokens;
      if (total < cost) [cost, start] = [total, first];
    }
    costs.push(cost);
    starts.push(start);
  }
  return starts;
}
