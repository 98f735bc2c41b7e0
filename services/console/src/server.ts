import type { AddressInfo } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import type { Logger } from '@online-cnclip/foundation';
import { messageOf, UnavailableError } from '@online-cnclip/foundation';
import {
  formatAddress,
  type Listener,
  parseAddress,
  type Telemetry,
  type TlsMaterial,
  type Watched,
} from '@online-cnclip/service-kit';
import fastify, { type FastifyInstance } from 'fastify';
import type { Clients } from './clients.ts';
import { CrawlJobs } from './crawls/crawl-jobs.ts';
import { loadAssets, serveAssets } from './http/assets.ts';
import { failureOf } from './http/errors.ts';
import { EventStreams } from './http/event-stream.ts';
import { guardRequests, RefusedRequestError } from './http/guard.ts';
import { requireLogIn } from './http/log-in.ts';
import type { PictureSource } from './pictures/picture-sources.ts';
import { crawlRoutes } from './routes/crawl.ts';
import { overviewRoutes } from './routes/overview.ts';
import { pictureRoutes } from './routes/pictures.ts';
import { searchRoutes } from './routes/search.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { trainingRoutes } from './routes/training.ts';
import { RunFeeds } from './runs/run-feeds.ts';
import { observeRequests, traceRequests } from './telemetry.ts';

/** JSON that a form sends: two thousand queries of 256 characters fit. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Of one address: a page with its pictures is some hundred, a search types its words in between. */
const MAX_REQUESTS_PER_MINUTE = 3_000;
const TOO_MANY_REQUESTS = 429;
/** A request that is not whole by then holds a socket for nothing. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Nothing but this server's own files; what the page makes itself are pictures. */
const CONTENT_SECURITY_POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:', 'blob:'],
  'connect-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
  'require-trusted-types-for': ["'script'"],
};

export interface ConsoleParts {
  readonly clients: Clients;
  readonly pictures: PictureSource;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  /** Host names besides loopback under which the page may be opened. */
  readonly allowedHosts: readonly string[];
  /** Plain HTTP without. Whoever opens the page needs no certificate. */
  readonly tls: Watched<TlsMaterial> | undefined;
  /** What whoever opens the page has to know; absent: nothing. */
  readonly token: (() => string) | undefined;
  /** Time for requests to end when the server closes. */
  readonly drainTimeoutMs: number;
}

/** The console's HTTP server. Closes the clients and picture sources it was given. */
export async function createConsole(parts: ConsoleParts): Promise<Listener> {
  const { clients, pictures, logger, tls } = parts;
  const ending = new AbortController();
  const streams = new EventStreams(logger);
  const feeds = new RunFeeds(clients.trainer, logger, ending.signal);
  const jobs = new CrawlJobs(clients.crawler);
  const app = await createApp(parts, streams);
  overviewRoutes(app, clients);
  searchRoutes(app, clients, pictures);
  pictureRoutes(app, pictures);
  trainingRoutes(app, clients, feeds, streams);
  sessionRoutes(app, clients, streams);
  crawlRoutes(app, clients, jobs, streams);
  serveAssets(app, loadAssets());
  let polling: Promise<void> | undefined;
  let stopWatching: (() => void) | undefined;
  return {
    listen: async (address) => {
      stopWatching = tls?.onChange(({ options }) =>
        (app.server as unknown as TlsServer).setSecureContext(options),
      );
      const listening = await listen(app, address);
      polling = feeds.poll();
      return listening;
    },
    close: async () => {
      ending.abort();
      stopWatching?.();
      await Promise.all([streams.close(), jobs.close(), polling]);
      // Idle connections of open pages would keep the server up.
      const killing = setTimeout(() => app.server.closeAllConnections(), parts.drainTimeoutMs);
      await app.close();
      clearTimeout(killing);
      pictures.close();
      clients.close();
    },
  };
}

async function createApp(
  { logger, telemetry, allowedHosts, tls, token }: ConsoleParts,
  streams: EventStreams,
): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    logger: false,
    ...(tls && { https: tls.current.options }),
  }) as FastifyInstance;
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = failureOf(error, logger);
    return reply.code(error instanceof RefusedRequestError ? error.statusCode : status).send(body);
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: { kind: 'not-found', message: `${request.url}: nothing is there` } }),
  );
  await app.register(rateLimit, {
    max: MAX_REQUESTS_PER_MINUTE,
    timeWindow: 60_000,
    errorResponseBuilder: ({ ip }, { after }) =>
      new RefusedRequestError(TOO_MANY_REQUESTS, `too many requests, try again in ${after}`, ip),
  });
  guardRequests(app, allowedHosts);
  observeRequests(telemetry, app, streams);
  traceRequests(app);
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: CONTENT_SECURITY_POLICY },
    // Loopback speaks plain HTTP; whatever ends TLS in front says this itself.
    strictTransportSecurity: tls !== undefined,
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  });
  if (token) await requireLogIn(app, { token, secure: tls !== undefined, logger });
  app.get('/healthz', { config: { rateLimit: false } }, () => ({ status: 'ok' }));
  return app;
}

async function listen(app: FastifyInstance, address: string): Promise<string> {
  const { host, port } = parseAddress(address);
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw new UnavailableError(`cannot listen: ${messageOf(cause)}`, { place: address, cause });
  }
  return formatAddress({ host, port: (app.server.address() as AddressInfo).port });
}
