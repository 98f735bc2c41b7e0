/** A slip of the fingers, not another word: so many letters of ten may differ. */
const MAX_DIFFERENCE = 0.4;

/** The candidate that a word was probably meant to be; undefined where none is near. */
export function nearestTo(word: string, candidates: Iterable<string>): string | undefined {
  let nearest: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (!nearest || distance < nearest.distance) nearest = { candidate, distance };
  }
  return nearest && nearest.distance <= MAX_DIFFERENCE * word.length ? nearest.candidate : undefined;
}

/** For the end of a message: `; did you mean X?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const nearest = nearestTo(word, candidates);
  return nearest === undefined ? '' : `; did you mean ${nearest}?`;
}

/** Letters to insert, remove or replace (Levenshtein), by rows of the usual table. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
