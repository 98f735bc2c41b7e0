import { ListSessionsRequest, type Session } from '@online-cnclip/contracts/crawler/v1';
import { DataLossError } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clients } from '../clients.ts';
import type { EventStreams } from '../http/event-stream.ts';
import { parseInput } from '../http/input.ts';
import { followSessions } from '../sessions/follow-sessions.ts';
import { sessionView } from '../views/crawl-view.ts';
import type { BrowserView, SessionEvents, SessionView } from '../wire.ts';

/** The contract's limit of a label. */
const MAX_LABEL_LENGTH = 64;
/** A browser that starts for the first time on a busy machine. */
const CHECK_TIMEOUT_MS = 60_000;

const openForm = z.object({ label: z.string().trim().max(MAX_LABEL_LENGTH) });
const sessionParams = z.object({
  id: z
    .string()
    .regex(/^\d{1,19}$/)
    .transform(BigInt),
});

export function sessionRoutes(app: FastifyInstance, { crawler }: Clients, streams: EventStreams): void {
  app.get('/api/sessions', async (): Promise<SessionView[]> => {
    const { sessions } = await crawler.listSessions(ListSessionsRequest.fromPartial({}));
    return sessions.map(sessionView);
  });

  app.post('/api/sessions', async ({ body }): Promise<SessionView> => {
    const { session } = await crawler.openSession(parseInput(openForm, body));
    return sessionView(present(session));
  });

  app.post('/api/sessions/:id/resolve', async ({ params }): Promise<SessionView> => {
    const { id } = parseInput(sessionParams, params);
    const { session } = await crawler.resolveChallenge({ sessionId: id });
    return sessionView(present(session));
  });

  app.post('/api/sessions/:id/retire', async ({ params }): Promise<SessionView> => {
    const { id } = parseInput(sessionParams, params);
    const { session } = await crawler.retireSession({ sessionId: id });
    return sessionView(present(session));
  });

  app.get('/api/sessions/events', (request, reply) =>
    streams.serve<SessionEvents>(request, reply, (stream) => followSessions(crawler, stream)),
  );

  // It starts a browser, so it is no GET.
  app.post('/api/browser/check', async (): Promise<BrowserView> => {
    const { installed, version, advice } = await crawler.checkBrowser({}, { timeoutMs: CHECK_TIMEOUT_MS });
    return { installed, version, advice };
  });
}

function present(session: Session | undefined): Session {
  if (!session) throw new DataLossError('the answer holds no session', { place: 'crawler' });
  return session;
}
