import { z } from 'zod';
import { shareOf } from './pictures.ts';

/** What can go wrong with a search; the browser meets it. */
export const PAGE_FAULTS = [
  'rate-limited',
  'unavailable',
  'server-error',
  'challenge',
  'challenge-overlay',
  'logged-out',
  'hang',
  'reset',
  'crash',
  'no-results',
  'endless-scroll',
  'only-promoted',
  'changed-markup',
  'duplicate-images',
  'unresolvable-images',
] as const;
/** What can go wrong with an image; the downloader meets it. */
export const IMAGE_FAULTS = [
  'html-image',
  'truncated-image',
  'bomb-image',
  'drip-image',
  'reset-image',
  'redirect-image',
  'missing-image',
] as const;

export type PageFault = (typeof PAGE_FAULTS)[number];
export type ImageFault = (typeof IMAGE_FAULTS)[number];
export type Fault = PageFault | ImageFault;

export const faultRuleSchema = z.strictObject({
  fault: z.enum([...PAGE_FAULTS, ...IMAGE_FAULTS]),
  /** None: every query. */
  query: z.string().optional(),
  /** Share of the queries that are hit, the same ones each time. */
  rate: z.number().min(0).max(1).default(1),
  /** Of those, how often each is hit before it goes well; none: always. */
  times: z.int().positive().optional(),
  retryAfterSeconds: z.int().nonnegative().default(1),
  /** Image faults: of a page's images the first ones, this many. */
  images: z.int().positive().default(1),
});

export type FaultRule = Readonly<z.output<typeof faultRuleSchema>>;

export interface Faults {
  /** Replaces all rules and forgets what they have hit. */
  set(rules: readonly FaultRule[]): void;
  /** The first rule that hits this query now, which counts as a hit. */
  take(query: string): FaultRule | undefined;
  /** Hits by fault so far. */
  readonly hits: Readonly<Partial<Record<Fault, number>>>;
}

/** Which queries are hit depends on the seed, the rule's place and the query: never on time or order. */
export function createFaults(seed: number): Faults {
  let rules: readonly FaultRule[] = [];
  let taken = new Map<string, number>();
  let hits: Partial<Record<Fault, number>> = {};
  return {
    set: (next) => {
      rules = next;
      taken = new Map();
      hits = {};
    },
    take: (query) => {
      for (const [place, rule] of rules.entries()) {
        if (rule.query !== undefined && rule.query !== query) continue;
        const key = `${seed} ${place} ${query}`;
        if (rule.rate < 1 && shareOf(key) >= rule.rate) continue;
        const before = taken.get(key) ?? 0;
        if (rule.times !== undefined && before >= rule.times) continue;
        taken.set(key, before + 1);
        hits[rule.fault] = (hits[rule.fault] ?? 0) + 1;
        return rule;
      }
      return undefined;
    },
    get hits() {
      return hits;
    },
  };
}
