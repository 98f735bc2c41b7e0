import { DataLossError } from '@online-cnclip/foundation';
import {
  type CachedQuery,
  FAILURE_REASONS,
  type FailureReason,
  QUERY_STATES,
  type QueryState,
  type StoredImage,
} from './outcome.ts';

/** A query's record as JSON: dates in milliseconds, bytes in base64, ids as text. */
interface QueryJson {
  query: string;
  normalized: string;
  state: string;
  images: ImageJson[];
  wanted: number;
  failure?: { reason: string; message: string };
  retryAt?: number;
  attempts: number;
  failedAttempts: number;
  firstAttemptAt: number;
  lastAttemptAt: number;
}

interface ImageJson {
  imageId: string;
  sourceUrl: string;
  pageUrl: string;
  sourceSha256: string;
  signature: string;
  rank: number;
  sessionId: string;
  fetchedAt: number;
}

export function encodeQuery(record: CachedQuery): Buffer {
  const json: QueryJson = {
    ...record,
    images: record.images.map(imageToJson),
    ...(record.failure && { failure: record.failure }),
    ...(record.retryAt && { retryAt: record.retryAt.getTime() }),
    firstAttemptAt: record.firstAttemptAt.getTime(),
    lastAttemptAt: record.lastAttemptAt.getTime(),
  } as QueryJson;
  return Buffer.from(JSON.stringify(json));
}

/** @throws DataLossError when it is no record, naming an unknown state or reason. */
export function decodeQuery(bytes: Buffer, place: string): CachedQuery {
  let json: QueryJson;
  try {
    json = JSON.parse(bytes.toString('utf8')) as QueryJson;
  } catch (cause) {
    throw new DataLossError('the record of a query is damaged', { place, cause });
  }
  const state = json?.state as QueryState;
  if (!QUERY_STATES.includes(state))
    throw new DataLossError(`unknown query state ${JSON.stringify(json?.state)}`, { place });
  if (json.failure && !FAILURE_REASONS.includes(json.failure.reason as FailureReason))
    throw new DataLossError(`unknown failure reason ${JSON.stringify(json.failure.reason)}`, { place });
  requireFields(json, place);
  return {
    ...json,
    state,
    images: json.images.map(imageFromJson),
    failure: json.failure && { ...json.failure, reason: json.failure.reason as FailureReason },
    retryAt: json.retryAt === undefined ? undefined : new Date(json.retryAt),
    firstAttemptAt: new Date(json.firstAttemptAt),
    lastAttemptAt: new Date(json.lastAttemptAt),
  };
}

const TEXTS = ['query', 'normalized'] as const satisfies readonly (keyof QueryJson)[];
const NUMBERS = [
  'wanted',
  'attempts',
  'firstAttemptAt',
  'lastAttemptAt',
] as const satisfies readonly (keyof QueryJson)[];
const IMAGE_TEXTS = [
  'sourceUrl',
  'pageUrl',
  'sourceSha256',
  'signature',
] as const satisfies readonly (keyof ImageJson)[];
const IMAGE_NUMBERS = ['rank', 'fetchedAt'] as const satisfies readonly (keyof ImageJson)[];
const IMAGE_IDS = ['imageId', 'sessionId'] as const satisfies readonly (keyof ImageJson)[];

/** A disk's damage within a text of JSON can leave it JSON. */
function requireFields(json: QueryJson, place: string): void {
  const isText = (value: unknown): boolean => typeof value === 'string';
  const isTime = (value: unknown): boolean => Number.isSafeInteger(value);
  const isId = (value: unknown): boolean => typeof value === 'string' && /^\d{1,19}$/.test(value);
  const isRight =
    TEXTS.every((name) => isText(json[name])) &&
    NUMBERS.every((name) => isTime(json[name])) &&
    (json.retryAt === undefined || isTime(json.retryAt)) &&
    (json.failure === undefined || isText(json.failure.message)) &&
    Array.isArray(json.images) &&
    json.images.every(
      (image) =>
        IMAGE_TEXTS.every((name) => isText(image?.[name])) &&
        IMAGE_NUMBERS.every((name) => isTime(image?.[name])) &&
        IMAGE_IDS.every((name) => isId(image?.[name])),
    );
  if (!isRight) throw new DataLossError('the record of a query is damaged', { place });
}

const imageToJson = (image: StoredImage): ImageJson => ({
  imageId: String(image.imageId),
  sourceUrl: image.sourceUrl,
  pageUrl: image.pageUrl,
  sourceSha256: image.sourceSha256.toString('base64'),
  signature: image.signature.toString('base64'),
  rank: image.rank,
  sessionId: String(image.sessionId),
  fetchedAt: image.fetchedAt.getTime(),
});

const imageFromJson = (json: ImageJson): StoredImage => ({
  ...json,
  imageId: BigInt(json.imageId),
  sourceSha256: Buffer.from(json.sourceSha256, 'base64'),
  signature: Buffer.from(json.signature, 'base64'),
  sessionId: BigInt(json.sessionId),
  fetchedAt: new Date(json.fetchedAt),
});
