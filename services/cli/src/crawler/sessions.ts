import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { type Session, SessionState } from '@online-cnclip/contracts/crawler/v1';
import type { CliContext } from '../context.ts';
import { withClient } from '../services.ts';

interface Options {
  readonly address: string;
}

const UNKNOWN_STATES: readonly number[] = [SessionState.SESSION_STATE_UNSPECIFIED];

export async function listSessions(
  { address, all }: Options & { all?: boolean },
  context: CliContext,
): Promise<void> {
  const { print } = context;
  const states = all ? Object.values(SessionState).filter((state) => !UNKNOWN_STATES.includes(state)) : [];
  const { sessions } = await withClient(context, createCrawlerClient, address, (crawler) =>
    crawler.listSessions({ states }),
  );
  for (const session of sessions) print(describeSession(session));
  if (sessions.length === 0) print('no session: cnclip crawler login opens one');
}

export const resolveSession = (sessionId: bigint, { address }: Options, context: CliContext): Promise<void> =>
  change(address, context, (crawler) => crawler.resolveChallenge({ sessionId }));

export const retireSession = (sessionId: bigint, { address }: Options, context: CliContext): Promise<void> =>
  change(address, context, (crawler) => crawler.retireSession({ sessionId }));

async function change(
  address: string,
  context: CliContext,
  call: (crawler: CrawlerClient) => Promise<{ session?: Session | undefined }>,
): Promise<void> {
  const { session } = await withClient(context, createCrawlerClient, address, call);
  if (session) context.print(describeSession(session));
}

export function describeSession(session: Session): string {
  const { sessionId, label, state, reason, queriesToday, dailyCap, resumeTime } = session;
  const name = label === '' ? String(sessionId) : `${sessionId} (${label})`;
  const until = resumeTime ? ` until ${resumeTime.toISOString()}` : '';
  const why = reason === '' ? '' : `: ${reason}`;
  return `${name}  ${stateName(state)}${until}${why}  ${queriesToday} of ${dailyCap} queries today`;
}

export const stateName = (state: SessionState): string =>
  (Object.entries(SessionState).find(([, value]) => value === state)?.[0] ?? String(state)).replace(
    'SESSION_STATE_',
    '',
  );
