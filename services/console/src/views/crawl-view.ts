import {
  type CrawledImage,
  type CrawlOutcome,
  type Failure,
  FailureReason,
  QueryState,
  type Session,
  SessionState,
} from '@online-cnclip/contracts/crawler/v1';
import type {
  CrawledImageView,
  FailureView,
  QueryOutcome,
  QueryStateName,
  SessionStateName,
  SessionView,
} from '../wire.ts';
import { dataUrl, enumName, timeOf } from './scalars.ts';

export function sessionView(session: Session): SessionView {
  const { qrCode, challengePng } = session;
  return {
    id: String(session.sessionId),
    label: session.label,
    state: enumName(SessionState, 'SESSION_STATE_', session.state) as SessionStateName,
    reason: session.reason,
    qrCode: qrCode
      ? {
          image: dataUrl('image/png', qrCode.png),
          expiresAt: timeOf(qrCode.expireTime),
          attempt: qrCode.attempt,
        }
      : null,
    challenge: challengePng.length > 0 ? dataUrl('image/png', challengePng) : null,
    resumesAt: timeOf(session.resumeTime),
    queriesToday: session.queriesToday,
    dailyCap: session.dailyCap,
    openedAt: timeOf(session.openTime),
    changedAt: timeOf(session.changeTime),
  };
}

export function outcomeView(query: string, outcome: CrawlOutcome): QueryOutcome {
  const state = enumName(QueryState, 'QUERY_STATE_', outcome.state);
  const failure = enumName(FailureReason, 'FAILURE_REASON_', outcome.failure);
  return {
    query,
    // A state that this build does not know is none that worked.
    state: state === 'unknown' ? 'failed' : (state as QueryStateName),
    failure: failure === 'unknown' && outcome.failure === 0 ? 'none' : failure,
    message: outcome.status?.message ?? '',
    images: outcome.images.length,
    cached: outcome.cached,
    retryAt: timeOf(outcome.retryTime),
  };
}

export function failureView({ query, outcome, attempts, attemptTime }: Failure): FailureView {
  const view = outcomeView(query, outcome ?? missingOutcome);
  return { ...view, attempts, attemptedAt: timeOf(attemptTime) };
}

export const crawledImageView = (image: CrawledImage): CrawledImageView => ({
  id: String(image.imageId),
  image: dataUrl('image/jpeg', image.jpeg),
  sourceUrl: image.sourceUrl,
  pageUrl: image.pageUrl,
  rank: image.rank,
  fetchedAt: timeOf(image.fetchTime),
});

const missingOutcome: CrawlOutcome = {
  state: QueryState.QUERY_STATE_FAILED,
  failure: FailureReason.FAILURE_REASON_UNSPECIFIED,
  status: undefined,
  retryTime: undefined,
  images: [],
  cached: false,
};
