import { InvalidInputError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { flag, none, number, optionalText } from '../option-fields.ts';

/** Most that is worth it: a step then consists of old pairs. */
const MAX_REPLAY_RATIO = 100;

/** Which queries online steps are made on. */
export const ONLINE_SCOPES = ['all', 'exclude-scored'] as const;
/**
 * `all`: on the very queries that are scored, as the research code does; such a figure is transductive. `exclude-scored`:
 * on other queries only.
 */
export type OnlineScope = (typeof ONLINE_SCOPES)[number];

/** How far mean recall on the gate set may fall. */
export interface MaxDrop {
  readonly value: number;
  /** `points`: of percent. `share`: of the recall before, in percent. */
  readonly unit: 'points' | 'share';
}

const MAX_DROP = /^([0-9]+(?:\.[0-9]+)?)(%?)$/;

function maxDropOf(value: unknown, context: z.RefinementCtx): MaxDrop | null {
  if (value === null || value === undefined) return null;
  if (isMaxDrop(value)) return value;
  const match = MAX_DROP.exec(String(value).trim());
  const drop = Number(match?.[1]);
  if (match && drop <= 100) return { value: drop, unit: match[2] === '%' ? 'share' : 'points' };
  context.addIssue({
    code: 'custom',
    message: 'must be percentage points from 0 to 100 (2.5), or a share of the recall before (10%)',
  });
  return null;
}

const isMaxDrop = (value: unknown): value is MaxDrop =>
  typeof value === 'object' && value !== null && 'value' in value && 'unit' in value;

/** As it is written on the command line. */
export const maxDropText = ({ value, unit }: MaxDrop): string => `${value}${unit === 'share' ? '%' : ''}`;

/** Options that online learning in training and in testing share. */
export const onlineOptionSchemas = {
  onlineCache: flag().describe('take images from the cache folder only, fetch none'),
  onlineScope: z
    .enum(ONLINE_SCOPES)
    .default('all')
    .describe(
      'ours: all, step on the very queries that are scored (transductive, as the research code does); exclude-scored, on others only',
    ),
  cacheFolder: optionalText().describe(
    "ours: folder of cached images: an image cache, or the research code's valid/ and test/",
  ),
  crawlerAddress: optionalText().describe('ours: host:port of the crawler that fetches images'),
  replayRatio: number(z.number().min(0).max(MAX_REPLAY_RATIO), 0).describe(
    'ours: pairs of the training set in each online step per new pair, against forgetting',
  ),
  maskDuplicates: flag().describe(
    "ours: two pairs of a batch with the same text or image are not each other's negatives",
  ),
  gateMaxDrop: z
    .preprocess(none, z.unknown())
    .transform(maxDropOf)
    .describe(
      'ours: drop the adapted weights when mean recall on the gate set falls by more: percentage points (2.5) or a share (10%); none: never',
    ),
};

interface ImageOptions {
  readonly onlineCache: boolean;
  readonly cacheFolder: string | null;
  readonly crawlerAddress: string | null;
}

/** @throws InvalidInputError naming the option that says where images come from, where it is missing. */
export function requireImages({ onlineCache, cacheFolder, crawlerAddress }: ImageOptions): void {
  if (onlineCache && cacheFolder === null)
    throw new InvalidInputError('is required with online-cache', { place: 'cache-folder' });
  if (!onlineCache && crawlerAddress === null)
    throw new InvalidInputError('is required for online learning, or online-cache', {
      place: 'crawler-address',
    });
}
