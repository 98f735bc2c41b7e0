import { ApplicationError } from '@online-cnclip/foundation';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/**
 * A page of another site cannot set this header without asking first (a CORS preflight), and nobody answers that here.
 * The page's own requests all carry it.
 */
export const PAGE_HEADER = 'x-online-cnclip';

/** Names that always mean this machine. */
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];
const READING = new Set(['GET', 'HEAD']);
/** Asked by probes under the pod's address; it says nothing about anything. */
const OPEN_PATHS = new Set(['/healthz']);

const MISDIRECTED = 421;
const FORBIDDEN = 403;

/** Refused before any route sees it. */
export class RefusedRequestError extends ApplicationError {
  readonly kind = 'failed-precondition';
  readonly statusCode: number;

  constructor(statusCode: number, message: string, place: string) {
    super(message, { place });
    this.statusCode = statusCode;
  }
}

/**
 * Refuses what other sites may make a browser send: requests under a foreign host name (DNS rebinding), requests of other
 * origins, and changes without the page's header (forged forms).
 *
 * @param hosts further names, lower case, without port.
 */
export function guardRequests(app: FastifyInstance, hosts: readonly string[]): void {
  const allowed = new Set([...LOOPBACK_HOSTS, ...hosts]);
  app.addHook('onRequest', async (request) => {
    if (OPEN_PATHS.has(request.url)) return;
    requireKnownHost(request, allowed);
    // A link on another site may open the page, and nothing else.
    if (request.url.startsWith('/api/') || !READING.has(request.method)) requireSameOrigin(request);
  });
}

function requireKnownHost({ headers }: FastifyRequest, allowed: ReadonlySet<string>): void {
  const host = (headers.host ?? '').toLowerCase();
  if (!allowed.has(host.replace(/:\d+$/, '')))
    throw new RefusedRequestError(
      MISDIRECTED,
      'is not a name of this console, see --allowed-hosts',
      `Host ${host}`,
    );
}

function requireSameOrigin({ headers, method }: FastifyRequest): void {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new RefusedRequestError(FORBIDDEN, 'only the page itself may ask', `Sec-Fetch-Site ${site}`);
  if (origin !== undefined && hostOf(origin) !== headers.host)
    throw new RefusedRequestError(FORBIDDEN, 'only the page itself may ask', `Origin ${origin}`);
  if (!READING.has(method) && headers[PAGE_HEADER] === undefined)
    throw new RefusedRequestError(FORBIDDEN, 'is needed to change anything', `header ${PAGE_HEADER}`);
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
