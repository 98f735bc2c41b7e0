import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import cookie from '@fastify/cookie';
import { InvalidInputError, type Logger } from '@online-cnclip/foundation';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { RefusedRequestError } from './guard.ts';

/** Anything shorter can be found by trying; `openssl rand -hex 32` makes 64. */
const MIN_TOKEN_LENGTH = 16;

/** A day's work: then the token is asked for again. */
const SESSION_MS = 12 * 3_600_000;

/** Tries of one address at the log-in: a person mistypes, a program guesses. */
export const MAX_LOG_INS_PER_MINUTE = 10;

const UNAUTHORIZED = 401;

const LOG_IN_PAGE = '/log-in.html';
const LOG_IN_PATH = '/api/log-in';
/** What the log-in page is made of, and the probes' question. */
const OPEN_PATHS = new Set([
  ...[LOG_IN_PAGE, '/log-in.ts', '/log-in.css', '/style.css', '/icon.svg'],
  ...['/api.ts', '/language.ts', '/messages.ts'],
  ...[LOG_IN_PATH, '/healthz'],
]);

const logInRequest = z.strictObject({ token: z.string().max(4_096) });

export interface LogInOptions {
  /** Read anew for every request: the file may have changed, and then nobody is logged in any more. */
  readonly token: () => string;
  /** Whether the page is served by HTTPS: the cookie is then for HTTPS alone. */
  readonly secure: boolean;
  readonly logger: Logger;
}

/** @throws InvalidInputError when the file holds no token. */
export function parseToken(content: Buffer | undefined, place: string): string {
  const token = content?.toString('utf8').trim() ?? '';
  if (token.length < MIN_TOKEN_LENGTH || /\s/.test(token))
    throw new InvalidInputError(`is no token of at least ${MIN_TOKEN_LENGTH} characters`, { place });
  return token;
}

/**
 * Lets nobody in without the token: programs send it as `Authorization: Bearer`, people once by the log-in page, for a cookie that says
 * until when they are logged in, signed with the token.
 */
export async function requireLogIn(app: FastifyInstance, options: LogInOptions): Promise<void> {
  const { token, secure, logger } = options;
  // The prefix makes a browser take it from HTTPS and for this host alone.
  const name = secure ? '__Host-session' : 'session';
  await app.register(cookie);
  app.addHook('onRequest', async (request, reply) => {
    const [path = ''] = request.url.split('?');
    if (OPEN_PATHS.has(path) || isLoggedIn(request, name, token())) return;
    if (path === '/') return reply.redirect(LOG_IN_PAGE, 303);
    throw new RefusedRequestError(UNAUTHORIZED, 'log in first', path);
  });
  const rateLimit = { max: MAX_LOG_INS_PER_MINUTE, timeWindow: 60_000 };
  app.post(LOG_IN_PATH, { config: { rateLimit } }, async (request, reply) => {
    const given = logInRequest.safeParse(request.body);
    const welcome = given.success && equalTokens(given.data.token, token());
    logger.info({ audit: true, peer: request.ip, outcome: welcome ? 'OK' : 'UNAUTHENTICATED' }, 'log-in');
    if (!welcome) throw new RefusedRequestError(UNAUTHORIZED, 'is not the token', 'token');
    const maxAge = SESSION_MS / 1_000;
    const flags = { path: '/', httpOnly: true, sameSite: 'strict', secure, maxAge } as const;
    reply.setCookie(name, sessionUntil(Date.now() + SESSION_MS, token()), flags);
    return { loggedIn: true };
  });
}

function isLoggedIn({ headers, cookies }: FastifyRequest, name: string, token: string): boolean {
  const [, bearer] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
  if (bearer !== undefined) return equalTokens(bearer, token);
  const session = cookies[name];
  return session !== undefined && isCurrent(session, token);
}

function isCurrent(session: string, token: string): boolean {
  const until = Number(session.split('.')[0]);
  return until > Date.now() && equalTokens(session, sessionUntil(until, token));
}

function sessionUntil(until: number, token: string): string {
  return `${until}.${createHmac('sha256', token).update(`session until ${until}`).digest('base64url')}`;
}

/** Takes the same time whatever differs, the length included. */
function equalTokens(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}
