import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationError, type Logger, NotFoundError } from '@online-cnclip/foundation';
import QRCode from 'qrcode';
import { readCatalogue } from './catalogue.ts';
import { answerControl, CONTROL_PATH, codeAddress } from './control.ts';
import { crashPages } from './crash-page.ts';
import { createFaults, type FaultRule, IMAGE_FAULTS, type ImageFault } from './faults.ts';
import { type Exchange, openExchange, readBody, SESSION_COOKIE, sendHtml, sendJson, sendTo } from './http.ts';
import { answerImage } from './image-answers.ts';
import { challengePage, homePage, logInPage, mirrorPage, resultsPage } from './pages.ts';
import { createPictures, VARIATIONS } from './pictures.ts';
import { createRecord } from './record.ts';
import { createSearch } from './search.ts';
import { createSessions } from './sessions.ts';

export interface ShopOptions {
  readonly seed: number;
  readonly codeLifetimeMs: number;
  /** Before each page of results and each image is answered. */
  readonly latencyMs: number;
  readonly logger: Logger;
}

export interface Shop {
  /** @returns `127.0.0.1:8070` */
  listen(host: string, port: number): Promise<string>;
  close(): Promise<void>;
}

/** Between two looks of the log-in page at its code's state. */
const CODE_POLL_MS = 100;
/** The persistent cookie's age. */
const DEVICE_COOKIE_SECONDS = 30 * 24 * 3_600;

export function createShop(options: ShopOptions): Shop {
  const products = readCatalogue();
  const parts = {
    ...options,
    search: createSearch(products),
    byId: new Map(products.map((product) => [product.id, product])),
    draw: createPictures(options.seed),
    faults: createFaults(options.seed),
    record: createRecord(),
    sessions: createSessions({ codeLifetimeMs: options.codeLifetimeMs }),
    host: '',
  };
  const server = createServer((request, response) => {
    void answer(request, response, parts);
  });
  return {
    listen: async (host, port) => {
      await listen(server, host, port);
      parts.host = `${host}:${(server.address() as AddressInfo).port}`;
      return parts.host;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Those that hang or drip on purpose would keep it open.
      server.closeAllConnections();
      await closed;
    },
  };
}

interface ShopParts extends ShopOptions {
  readonly search: ReturnType<typeof createSearch>;
  readonly byId: ReadonlyMap<string, ReturnType<typeof readCatalogue>[number]>;
  readonly draw: ReturnType<typeof createPictures>;
  readonly faults: ReturnType<typeof createFaults>;
  readonly record: ReturnType<typeof createRecord>;
  readonly sessions: ReturnType<typeof createSessions>;
  host: string;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, shop: ShopParts): Promise<void> {
  try {
    const exchange = openExchange(request, response, shop.host);
    if (exchange.url.pathname.startsWith(CONTROL_PATH))
      await answerControl(exchange, { ...shop, origin: () => `http://${shop.host}` });
    else await answerVisitor(exchange, shop);
  } catch (error) {
    const known = error instanceof ApplicationError;
    if (!known) shop.logger.error({ err: error, url: request.url }, 'a request failed');
    const status = !known ? 500 : error.kind === 'not-found' ? 404 : 400;
    if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: known ? error.message : 'internal' }));
  }
}

async function answerVisitor(exchange: Exchange, shop: ShopParts): Promise<void> {
  const { request, url, session } = exchange;
  const { record, sessions } = shop;
  record.addRequest({
    at: Date.now(),
    method: request.method ?? '',
    path: url.pathname + url.search,
    host: request.headers.host ?? '',
    session: session ?? null,
    userAgent: request.headers['user-agent'] ?? null,
  });
  const { pathname } = url;
  if (pathname === '/') return sendHtml(exchange, homePage(sessions.isLoggedIn(session)));
  if (pathname === '/search') return answerSearch(exchange, shop);
  if (pathname.startsWith('/img/')) return answerPicture(exchange, shop);
  if (pathname.startsWith('/member/')) return answerMember(exchange, shop);
  if (pathname === '/challenge') return sendHtml(exchange, challengePage());
  if (pathname === '/challenge/input') {
    record.inputs.push({ at: Date.now(), session: session ?? null, kind: await readBody(exchange) });
    return sendJson(exchange, {});
  }
  if (pathname === '/mirror') return sendHtml(exchange, mirrorPage());
  if (pathname === '/mirror/report') {
    record.reports.push({ ...JSON.parse(await readBody(exchange)), headers: request.headers });
    return sendJson(exchange, {});
  }
  throw new NotFoundError('is no page of the shop', { place: pathname });
}

async function answerSearch(exchange: Exchange, shop: ShopParts): Promise<void> {
  const { url, session } = exchange;
  const { sessions, faults } = shop;
  if (!sessions.isLoggedIn(session)) return sendTo(exchange, '/member/login');
  if (sessions.isChallenged(session)) return sendTo(exchange, '/challenge');
  const query = url.searchParams.get('q') ?? '';
  const rule = faults.take(query);
  await sleep(shop.latencyMs);
  if (rule !== undefined && breakPage(exchange, shop, rule, session)) return;
  const fault = rule?.fault;
  const { host } = shop;
  const faultyImages = rule?.images ?? 0;
  sendHtml(exchange, resultsPage({ query, offers: shop.search(query), host, fault, faultyImages }));
}

/** @returns whether the fault was an answer of its own; the others change the page or its images. */
function breakPage(exchange: Exchange, { sessions }: ShopParts, rule: FaultRule, session: string): boolean {
  const { request, response } = exchange;
  const retryAfter = { 'retry-after': String(rule.retryAfterSeconds), 'content-type': 'text/plain' };
  switch (rule.fault) {
    case 'rate-limited':
      response.writeHead(429, retryAfter).end('too many requests');
      return true;
    case 'unavailable':
      response.writeHead(503, retryAfter).end('unavailable');
      return true;
    case 'server-error':
      response.writeHead(500, { 'content-type': 'text/plain' }).end('failed');
      return true;
    case 'challenge':
      sessions.challenge(session);
      sendTo(exchange, '/challenge');
      return true;
    case 'logged-out':
      sessions.logOut(session);
      sendTo(exchange, '/member/login');
      return true;
    case 'crash':
      // The answer follows, should there be anybody left to read it.
      crashPages(request.socket);
      return false;
    case 'reset':
      request.socket.resetAndDestroy();
      return true;
    default:
      // Never answered: it ends with the connection.
      return rule.fault === 'hang';
  }
}

async function answerPicture(exchange: Exchange, shop: ShopParts): Promise<void> {
  const { url } = exchange;
  const [, , id = '', number = ''] = url.pathname.split('/');
  const product = shop.byId.get(id);
  const variation = Number(number);
  if (product === undefined || !Number.isInteger(variation) || variation < 0 || variation >= VARIATIONS)
    throw new NotFoundError('is no picture', { place: url.pathname });
  const fault = url.searchParams.get('fault');
  await sleep(shop.latencyMs);
  const picture = await shop.draw({ product, variation });
  await answerImage(exchange, picture, isImageFault(fault) ? fault : undefined);
}

const isImageFault = (name: string | null): name is ImageFault =>
  (IMAGE_FAULTS as readonly (string | null)[]).includes(name);

async function answerMember(exchange: Exchange, { sessions, host }: ShopParts): Promise<void> {
  const { url, response, session } = exchange;
  const token = url.searchParams.get('token') ?? '';
  switch (url.pathname) {
    case '/member/login':
      if (sessions.isLoggedIn(session)) return sendTo(exchange, '/');
      return sendHtml(exchange, logInPage(sessions.issueCode().token, CODE_POLL_MS));
    case '/member/code.png': {
      const png = await QRCode.toBuffer(codeAddress(`http://${host}`, token), { width: 220 });
      response.writeHead(200, { 'content-type': 'image/png' }).end(png);
      return;
    }
    case '/member/code-state': {
      const state = sessions.code(token)?.state ?? 'expired';
      const id = sessions.redeem(token);
      if (id !== undefined)
        response.setHeader('set-cookie', [
          // Without an age, it ends with the browser.
          `${SESSION_COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`,
          `shop_device=1; Path=/; Max-Age=${DEVICE_COOKIE_SECONDS}`,
        ]);
      return sendJson(exchange, { state });
    }
    case '/member/phone': {
      const state = sessions.scan(token)?.state ?? 'expired';
      return sendJson(exchange, { state });
    }
    default:
      throw new NotFoundError('is no page of the shop', { place: url.pathname });
  }
}
