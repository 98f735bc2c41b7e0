import { status } from '@grpc/grpc-js';
import { ITEM_OK } from '@online-cnclip/contracts';
import {
  type CrawledImage,
  type CrawlOutcome,
  FailureReason,
  QueryState,
  type Session,
  SessionState,
} from '@online-cnclip/contracts/crawler/v1';
import type { CrawlAnswer, SessionView } from '@online-cnclip/crawl';
import { InvalidInputError } from '@online-cnclip/foundation';
import type * as domain from '@online-cnclip/image-cache';

const SESSION_STATE = {
  NEW: SessionState.SESSION_STATE_NEW,
  LOGIN_WAIT: SessionState.SESSION_STATE_LOGIN_WAIT,
  LOGIN_SCANNED: SessionState.SESSION_STATE_LOGIN_SCANNED,
  PROBING: SessionState.SESSION_STATE_PROBING,
  READY: SessionState.SESSION_STATE_READY,
  LEASED: SessionState.SESSION_STATE_LEASED,
  COOLING: SessionState.SESSION_STATE_COOLING,
  PARKED: SessionState.SESSION_STATE_PARKED,
  EXPIRED: SessionState.SESSION_STATE_EXPIRED,
  SUSPECT: SessionState.SESSION_STATE_SUSPECT,
  RETIRED: SessionState.SESSION_STATE_RETIRED,
} as const satisfies Record<SessionView['state'], SessionState>;

const QUERY_STATE = {
  OK: QueryState.QUERY_STATE_OK,
  NO_RESULTS: QueryState.QUERY_STATE_NO_RESULTS,
  DEFERRED: QueryState.QUERY_STATE_DEFERRED,
  FAILED: QueryState.QUERY_STATE_FAILED,
} as const satisfies Record<domain.QueryState, QueryState>;

/** Each reason with the gRPC status that says what can be done about it. */
const REASON = {
  'invalid-query': [FailureReason.FAILURE_REASON_INVALID_QUERY, status.INVALID_ARGUMENT],
  'no-session': [FailureReason.FAILURE_REASON_NO_SESSION, status.UNAVAILABLE],
  'rate-limited': [FailureReason.FAILURE_REASON_RATE_LIMITED, status.RESOURCE_EXHAUSTED],
  challenge: [FailureReason.FAILURE_REASON_CHALLENGE, status.FAILED_PRECONDITION],
  'logged-out': [FailureReason.FAILURE_REASON_LOGGED_OUT, status.FAILED_PRECONDITION],
  navigation: [FailureReason.FAILURE_REASON_NAVIGATION, status.UNAVAILABLE],
  browser: [FailureReason.FAILURE_REASON_BROWSER, status.UNAVAILABLE],
  'profile-mismatch': [FailureReason.FAILURE_REASON_PROFILE_MISMATCH, status.FAILED_PRECONDITION],
  images: [FailureReason.FAILURE_REASON_IMAGES, status.UNAVAILABLE],
  storage: [FailureReason.FAILURE_REASON_STORAGE, status.RESOURCE_EXHAUSTED],
} as const satisfies Record<domain.FailureReason, readonly [FailureReason, status]>;

/** @param open with what only a watcher is shown: the QR code, the challenge's screenshot. */
export function sessionMessage(view: SessionView, dailyCap: number, open = false): Session {
  const { qrCode, challengePng } = view;
  return {
    sessionId: view.sessionId,
    label: view.label,
    state: SESSION_STATE[view.state],
    reason: view.reason,
    qrCode:
      open && qrCode
        ? { png: Buffer.from(qrCode.png), expireTime: new Date(qrCode.expiresAt), attempt: qrCode.attempt }
        : undefined,
    challengePng: Buffer.from(open && challengePng ? challengePng : []),
    resumeTime: view.resumeAt === undefined ? undefined : new Date(view.resumeAt),
    queriesToday: view.queriesToday,
    dailyCap,
    openTime: new Date(view.openedAt),
    changeTime: new Date(view.changedAt),
  };
}

/** @throws InvalidInputError naming a number that is no state. */
export function sessionStatesOf(states: readonly SessionState[]): SessionView['state'][] {
  return states.map((wanted) => nameOf(SESSION_STATE, wanted, 'states'));
}

/** @throws InvalidInputError naming a number that is no reason. */
export function failureReasonsOf(reasons: readonly FailureReason[]): domain.FailureReason[] {
  const numbers = Object.fromEntries(Object.entries(REASON).map(([name, [number]]) => [name, number]));
  return reasons.map((wanted) => nameOf(numbers, wanted, 'reasons') as domain.FailureReason);
}

export function outcomeMessage(answer: CrawlAnswer): CrawlOutcome {
  const { state, failure, retryAt, images, cached } = answer;
  const [reason, code] = failure
    ? REASON[failure.reason]
    : [FailureReason.FAILURE_REASON_UNSPECIFIED, status.OK];
  return {
    state: QUERY_STATE[state],
    failure: reason,
    status: failure ? { code, message: failure.message } : ITEM_OK,
    retryTime: retryAt,
    images: images.map(imageMessage),
    cached,
  };
}

/** Of what the cache knows of a query; images as they were read. */
export function cachedOutcomeMessage(
  record: domain.CachedQuery,
  images: readonly domain.CachedImage[],
): CrawlOutcome {
  return outcomeMessage({ ...record, images, cached: true });
}

function imageMessage(image: domain.CachedImage): CrawledImage {
  const { imageId, jpeg, sourceUrl, pageUrl, sourceSha256, rank, sessionId, fetchedAt } = image;
  return { imageId, jpeg, sourceUrl, pageUrl, sourceSha256, rank, sessionId, fetchTime: fetchedAt };
}

function nameOf<Name extends string>(numbers: Record<Name, number>, wanted: number, place: string): Name {
  const entry = Object.entries<number>(numbers).find(([, number]) => number === wanted);
  if (!entry) throw new InvalidInputError(`${wanted} is not known`, { place });
  return entry[0] as Name;
}
