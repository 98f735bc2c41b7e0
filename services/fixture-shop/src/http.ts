import type { IncomingMessage, ServerResponse } from 'node:http';
import { InvalidInputError } from '@online-cnclip/foundation';

/** One call to the shop: what was asked, and the means to answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** The log-in session's cookie. */
  readonly session: string | undefined;
}

export type Handler = (exchange: Exchange) => void | Promise<void>;

export const SESSION_COOKIE = 'shop_session';
/** Control calls are small; anything larger is a mistake. */
const MAX_BODY_BYTES = 1_048_576;

export function openExchange(request: IncomingMessage, response: ServerResponse, host: string): Exchange {
  const cookies = new Map(
    (request.headers.cookie ?? '').split(/;\s*/).map((pair) => pair.split(/=(.*)/s) as [string, string]),
  );
  const url = new URL(request.url ?? '/', `http://${host}`);
  return { request, response, url, session: cookies.get(SESSION_COOKIE) };
}

export function sendHtml({ response }: Exchange, html: string, status = 200): void {
  response
    .writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    .end(html);
}

export function sendJson({ response }: Exchange, value: unknown, status = 200): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(JSON.stringify(value));
}

export function sendTo({ response }: Exchange, location: string): void {
  response.writeHead(302, { location }).end();
}

/** @throws InvalidInputError when it is too long. */
export async function readBody({ request }: Exchange): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES)
      throw new InvalidInputError(`is longer than ${MAX_BODY_BYTES} bytes`, { place: 'body' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
