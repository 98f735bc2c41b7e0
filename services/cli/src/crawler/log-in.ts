import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { type QrCode, type Session, SessionState } from '@online-cnclip/contracts/crawler/v1';
import { FailedPreconditionError, messageOf, writeFileAtomically } from '@online-cnclip/foundation';
import type { CliContext } from '../context.ts';
import { withClient } from '../services.ts';
import { drawQrCode } from '../terminal-qr-code.ts';
import { describeSession, stateName } from './sessions.ts';

interface LogInOptions {
  readonly address: string;
  readonly label: string;
  readonly session?: bigint;
  readonly barcodeDir: string;
}

/** In these states the log-in is over, and went wrong. */
const FAILED_STATES: readonly SessionState[] = [
  SessionState.SESSION_STATE_RETIRED,
  SessionState.SESSION_STATE_EXPIRED,
  SessionState.SESSION_STATE_PARKED,
  SessionState.SESSION_STATE_SUSPECT,
];

/** Opens a session, shows each QR code, and ends when it is logged in. Ctrl-C retires a session that it has opened. */
export async function logIn(options: LogInOptions, context: CliContext): Promise<void> {
  const signal = context.stopSignal();
  await withClient(context, createCrawlerClient, options.address, async (crawler) => {
    const sessionId = await begin(crawler, options, signal);
    try {
      await watchLogIn(crawler, sessionId, options, context, signal);
    } catch (error) {
      if (signal.aborted && options.session === undefined) await crawler.retireSession({ sessionId });
      throw error;
    }
  });
}

async function begin(
  crawler: CrawlerClient,
  { label, session }: LogInOptions,
  signal: AbortSignal,
): Promise<bigint> {
  if (session === undefined) {
    const opened = await crawler.openSession({ label }, { signal });
    return opened.session?.sessionId ?? 0n;
  }
  const [before] = (await crawler.listSessions({ states: [] }, { signal })).sessions.filter(
    ({ sessionId }) => sessionId === session,
  );
  if (before && before.state !== SessionState.SESSION_STATE_EXPIRED)
    throw new FailedPreconditionError(`is ${stateName(before.state)}, not EXPIRED`, {
      place: `session ${session}`,
    });
  await crawler.resolveChallenge({ sessionId: session }, { signal });
  return session;
}

async function watchLogIn(
  crawler: CrawlerClient,
  sessionId: bigint,
  options: LogInOptions,
  context: CliContext,
  signal: AbortSignal,
): Promise<void> {
  // One that logs in again is still expired when the watch begins.
  let begun = options.session === undefined;
  for await (const { session } of crawler.watchSession({ sessionId }, { signal })) {
    if (!session) continue;
    const { state, qrCode } = session;
    if (qrCode) await showQrCode(session, qrCode, options, context);
    else context.print(describeSession(session));
    if (state === SessionState.SESSION_STATE_READY) return;
    if (begun && FAILED_STATES.includes(state))
      throw new FailedPreconditionError(`is ${stateName(state)}: ${session.reason}`, {
        place: `session ${sessionId}`,
      });
    begun ||= state === SessionState.SESSION_STATE_LOGIN_WAIT;
  }
}

async function showQrCode(
  { sessionId }: Session,
  { png, expireTime, attempt }: QrCode,
  { barcodeDir }: LogInOptions,
  { print, progress }: CliContext,
): Promise<void> {
  await mkdir(barcodeDir, { recursive: true });
  const path = join(barcodeDir, `barcode_${sessionId}.png`);
  await writeFileAtomically(path, png);
  const drawn = await drawQrCode(png).catch((error: unknown) => {
    progress.note(`${path} cannot be drawn: ${messageOf(error)}`);
    return undefined;
  });
  if (drawn !== undefined) print(drawn);
  const until = expireTime ? ` until ${expireTime.toLocaleTimeString()}` : '';
  print(`session ${sessionId}, code ${attempt}: scan ${path}${drawn ? ' or the above' : ''}${until}`);
}
