import { createHash } from 'node:crypto';
import type { Emoji, Rendering } from './catalogue.ts';

/** Change it and every split changes. */
export const SPLIT_SEED = 'online-cnclip emoji 1';
/** Share of the emoji that training never meets, neither picture nor label. */
export const UNSEEN_SHARE = 1 / 5;
/** Share of the training emoji whose Twitter picture is kept for the test "seen concepts, unseen rendering". */
export const SEEN_SHARE = 1 / 10;
/** Share of the training emoji whose Twitter picture is kept to validate while training, so that neither test is tuned on. */
export const VALID_SHARE = 1 / 20;
/**
 * Texts that training gets with each picture: so many times the label, and so many tags (fewer repeat, more are cut), as
 * lines of their own. Queries are labels: in a few hundred steps, texts in equal shares (mostly tags) learnt them far
 * less well on validation (mean recall 46 against 66 at one to one), and more labels than tags a little better.
 */
export const LABEL_TEXTS = 16;
export const TAG_TEXTS = 4;
/** The rendering that is held out, and so the gallery of both tests. */
export const HELD_OUT_RENDERING: Rendering = 'twitter';

export const SPLIT_NAMES = ['train', 'valid', 'seen', 'unseen'] as const;
export type SplitName = (typeof SPLIT_NAMES)[number];

/** Which texts of an emoji go with which of its pictures. */
export interface SplitItem {
  readonly emoji: Emoji;
  readonly texts: readonly string[];
  readonly renderings: readonly Rendering[];
}

export type Splits = Readonly<Record<SplitName, readonly SplitItem[]>>;

/**
 * Splits by a hash of each concept, so that the result depends on neither the order nor the number of emoji.
 *
 * - `unseen`: whole concepts up to a fifth of the emoji; label and Twitter picture. No training text equals
 *   one of these labels (a training emoji's tag that does is dropped); other shared tags stay.
 * - `seen`, `valid`: of the remaining emoji a tenth and a twentieth; label and Twitter picture, which
 *   training does not get. It gets their Google picture.
 * - `train`: the remaining emoji's label and tags with every picture not held out.
 */
export function splitEmoji(catalogue: readonly Emoji[]): Splits {
  const [unseen, known] = takeConcepts(catalogue, catalogue.length * UNSEEN_SHARE);
  const shuffled = shuffle(known, ({ id }) => `rendering ${id}`);
  const seenCount = Math.round(known.length * SEEN_SHARE);
  const validCount = Math.round(known.length * VALID_SHARE);
  const seen = shuffled.slice(0, seenCount);
  const valid = shuffled.slice(seenCount, seenCount + validCount);
  const heldOut = new Set([...seen, ...valid]);
  const unseenLabels = new Set(unseen.map(({ label }) => label));
  const train = known.map(
    (emoji): SplitItem => ({
      emoji,
      texts: trainingTexts(emoji, unseenLabels),
      renderings: heldOut.has(emoji) ? ['google'] : ['google', 'twitter'],
    }),
  );
  return { train, valid: testItems(valid), seen: testItems(seen), unseen: testItems(unseen) };
}

function trainingTexts({ label, tags }: Emoji, unseenLabels: ReadonlySet<string>): string[] {
  const allowed = tags.filter((tag) => !unseenLabels.has(tag));
  const labels = Array.from({ length: LABEL_TEXTS }, () => label);
  return [...labels, ...Array.from({ length: TAG_TEXTS }, (_, i) => allowed[i % allowed.length] ?? label)];
}

/** Whole concepts, in an order drawn by the seed, until they hold `count` emoji; and the others. */
function takeConcepts(catalogue: readonly Emoji[], count: number): [taken: Emoji[], others: Emoji[]] {
  const concepts = Map.groupBy(catalogue, ({ concept }) => concept);
  const taken = new Set<Emoji>();
  for (const concept of shuffle([...concepts.keys()], (name) => `concept ${name}`)) {
    if (taken.size >= count) break;
    for (const emoji of concepts.get(concept) ?? []) taken.add(emoji);
  }
  return [catalogue.filter((emoji) => taken.has(emoji)), catalogue.filter((emoji) => !taken.has(emoji))];
}

function shuffle<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const keyed = items.map((item) => [hash(keyOf(item)), item] as const);
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, item]) => item);
}

const hash = (text: string): string => createHash('sha256').update(`${SPLIT_SEED} ${text}`).digest('hex');

const testItems = (emoji: readonly Emoji[]): SplitItem[] =>
  emoji.map((one) => ({ emoji: one, texts: [one.label], renderings: [HELD_OUT_RENDERING] }));
