import { OpenSessionRequest, type Session, SessionState } from '@online-cnclip/contracts/crawler/v1';
import { DataLossError, FailedPreconditionError, messageOf } from '@online-cnclip/foundation';
import type { JobContext } from './context.ts';
import { scanWithPhone } from './phone.ts';

/** Where a log-in cannot come back from without a person. */
const DEAD_ENDS: readonly SessionState[] = [
  SessionState.SESSION_STATE_PARKED,
  SessionState.SESSION_STATE_EXPIRED,
  SessionState.SESSION_STATE_SUSPECT,
  SessionState.SESSION_STATE_RETIRED,
];

const MAX_ATTEMPTS = 3;

/** @throws FailedPreconditionError with the crawler's advice when there is no browser to log in with. */
export async function requireBrowser({ clients, progress, signal }: JobContext): Promise<void> {
  const { installed, version, advice } = await clients.crawler.checkBrowser({}, { signal });
  if (!installed) throw new FailedPreconditionError(advice, { place: 'browser' });
  progress.note(`the crawler's browser: ${version}`);
}

/** Opens browser sessions one after the other and logs each in on the fixture shop, by its QR code. */
export async function logIn(context: JobContext, shop: string, sessions: number): Promise<void> {
  const task = context.progress.start('log in', sessions);
  for (let number = 1; number <= sessions; number++) {
    await openWithRetry(context, shop, `demo ${number}`);
    task.update(number);
  }
  task.finish(`${sessions} browser session${sessions === 1 ? '' : 's'} on ${shop}`);
}

/** The minutes of training before should not be lost to a browser that did not start on a busy machine. */
async function openWithRetry(context: JobContext, shop: string, label: string): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      return await openSession(context, shop, label);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !(error instanceof FailedPreconditionError)) throw error;
      context.progress.note(`once more: ${messageOf(error)}`);
    }
}

async function openSession({ clients, signal }: JobContext, shop: string, label: string): Promise<void> {
  const { session } = await clients.crawler.openSession(OpenSessionRequest.fromPartial({ label }), {
    signal,
  });
  if (!session) throw new DataLossError('no session', { place: 'crawler.OpenSession' });
  const { sessionId } = session;
  let scanned = 0;
  for await (const { session: now } of clients.crawler.watchSession({ sessionId }, { signal })) {
    if (!now) continue;
    if (now.state === SessionState.SESSION_STATE_READY) return;
    if (DEAD_ENDS.includes(now.state)) throw deadEnd(now);
    if (now.state !== SessionState.SESSION_STATE_LOGIN_WAIT || !now.qrCode) continue;
    // A code that ran out is followed by another; the same one comes again with any other change.
    if (now.qrCode.attempt === scanned) continue;
    scanned = now.qrCode.attempt;
    await scanWithPhone(now.qrCode.png, shop, signal);
  }
  throw new FailedPreconditionError('ended before it was logged in', { place: `session ${sessionId}` });
}

function deadEnd({ sessionId, state, reason }: Session): FailedPreconditionError {
  const name = Object.keys(SessionState).find(
    (key) => SessionState[key as keyof typeof SessionState] === state,
  );
  return new FailedPreconditionError(`did not log in: ${reason || name}`, { place: `session ${sessionId}` });
}
