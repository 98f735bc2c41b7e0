import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { MAX_DIMENSION } from '../limits.ts';

const VERSION = 1;

const descriptionSchema = z.strictObject({
  version: z.literal(VERSION),
  dimension: z.int().min(1).max(MAX_DIMENSION),
  fingerprint: z.string().nullable(),
  createTime: z.iso.datetime(),
});

/** What the first frame of an item file says. */
export interface Description {
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;
}

export const stringifyDescription = ({ dimension, fingerprint, createTime }: Description): string =>
  JSON.stringify({
    version: VERSION,
    dimension,
    fingerprint: fingerprint ?? null,
    createTime: createTime.toISOString(),
  });

/** @throws UnsupportedError for a later version, DataLossError when it is none. */
export function parseDescription(text: string, place: string): Description {
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch (cause) {
    throw new DataLossError('its description is damaged', { place, cause });
  }
  const { version } = written as { version?: unknown };
  if (typeof version === 'number' && version > VERSION)
    throw new UnsupportedError(`version ${version} of item files is later than ${VERSION}`, { place });
  const parsed = descriptionSchema.safeParse(written);
  if (!parsed.success) throw new DataLossError('its description is damaged', { place, cause: parsed.error });
  const { dimension, fingerprint, createTime } = parsed.data;
  return { dimension, fingerprint: fingerprint ?? undefined, createTime: new Date(createTime) };
}
