import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { normalizeQuery, requireQuery } from '@online-cnclip/image-cache';

interface Labelled {
  readonly label: string;
  readonly tags?: readonly string[];
  readonly group?: number;
}

/** Skin tones: neither they nor what has no group (regional indicators) is a picture of its own. */
const COMPONENTS = 2;

/** Chinese words that the fixture shop has something for: labels first, then tags. No two are one to the cache. */
export function shopQueries(count: number): string[] {
  const path = fileURLToPath(import.meta.resolve('emojibase-data/zh/data.json'));
  const all = JSON.parse(readFileSync(path, 'utf8')) as Labelled[];
  const emoji = all.filter(({ group }) => group !== undefined && group !== COMPONENTS);
  const words = [...emoji.map(({ label }) => label), ...emoji.flatMap(({ tags = [] }) => tags)];
  const queries = new Map<string, string>();
  for (const word of words) {
    if (queries.size === count) break;
    try {
      requireQuery(word);
    } catch {
      continue;
    }
    if (!queries.has(normalizeQuery(word))) queries.set(normalizeQuery(word), word);
  }
  return [...queries.values()];
}
