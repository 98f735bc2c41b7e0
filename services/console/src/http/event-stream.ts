import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import {
  ApplicationError,
  type Logger,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { failureOf } from './errors.ts';

/** Pages that watch at once. Each costs a socket and an upstream call or two. */
export const MAX_STREAMS = 64;
/** Silence that proxies take for death is a minute or more; this also finds out about pages that went away. */
const HEARTBEAT_MS = 15_000;
/** How long a page waits before it asks again. */
const RETRY_MS = 2_000;

/** One page's stream of server-sent events. */
export class EventStream<E extends object> {
  /** Aborted when the page has gone or the console ends. */
  readonly signal: AbortSignal;
  readonly #response: ServerResponse;

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.signal = signal;
  }

  /** Resolves when the page's connection can take more. @throws when the stream has ended. */
  async send<N extends keyof E & string>(name: N, data: E[N], id?: string): Promise<void> {
    this.signal.throwIfAborted();
    const lines = [
      `event: ${name}`,
      ...(id === undefined ? [] : [`id: ${id}`]),
      `data: ${JSON.stringify(data)}`,
    ];
    if (!this.#response.write(`${lines.join('\n')}\n\n`))
      await once(this.#response, 'drain', { signal: this.signal });
  }
}

/** Every stream of the server, so that all of them end with it. */
export class EventStreams {
  readonly #logger: Logger;
  readonly #open = new Map<AbortController, Promise<void>>();
  #closed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Answers a request with what `produce` sends, until that returns or the page goes away. An error ends the stream with an
   * event `failure` ({@link ErrorAnswer}).
   *
   * @throws ResourceExhaustedError, UnavailableError before anything is answered.
   */
  async serve<E extends object>(
    request: FastifyRequest,
    reply: FastifyReply,
    produce: (stream: EventStream<E>) => Promise<void>,
  ): Promise<void> {
    if (this.#closed) throw new UnavailableError('the console is shutting down');
    if (this.#open.size >= MAX_STREAMS)
      throw new ResourceExhaustedError(`${MAX_STREAMS} pages are watching already; close one`);
    const controller = new AbortController();
    const response = begin(reply);
    request.raw.socket.setNoDelay(true);
    response.on('close', () => controller.abort(new UnavailableError('the page went away')));
    // A reset connection is a page that went away.
    response.on('error', () => controller.abort(new UnavailableError('the page went away')));
    const heartbeat = setInterval(() => response.write(':\n\n'), HEARTBEAT_MS);
    const ended = this.#run(controller.signal, response, produce).finally(() => {
      clearInterval(heartbeat);
      this.#open.delete(controller);
    });
    this.#open.set(controller, ended);
    await ended;
  }

  async #run<E extends object>(
    signal: AbortSignal,
    response: ServerResponse,
    produce: (stream: EventStream<E>) => Promise<void>,
  ): Promise<void> {
    try {
      await produce(new EventStream<E>(response, signal));
    } catch (error) {
      if (!signal.aborted) response.write(failureEvent(error, this.#logger));
      else if (!(error instanceof ApplicationError) && !isAbortError(error))
        this.#logger.error({ err: error }, 'a stream failed while it ended');
    } finally {
      response.end();
    }
  }

  /** Ends every stream; resolves when their producers have returned. */
  async close(): Promise<void> {
    this.#closed = true;
    const ended = [...this.#open.values()];
    for (const controller of this.#open.keys())
      controller.abort(new UnavailableError('the console is shutting down'));
    await Promise.all(ended);
  }
}

/** From here on the response is ours, with the headers that the plugins have set. */
function begin(reply: FastifyReply): ServerResponse {
  const headers = reply.getHeaders();
  reply.hijack();
  const response = reply.raw;
  response.writeHead(200, {
    ...(headers as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Proxies that buffer would make live updates late ones.
    'x-accel-buffering': 'no',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  return response;
}

const isAbortError = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

const failureEvent = (error: unknown, logger: Logger): string =>
  `event: failure\ndata: ${JSON.stringify(failureOf(error, logger).body)}\n\n`;
