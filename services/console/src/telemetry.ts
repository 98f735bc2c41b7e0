import {
  type CallSpan,
  CONSOLE_TELEMETRY,
  startRequestSpan,
  type Telemetry,
} from '@online-cnclip/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { EventStreams } from './http/event-stream.ts';

export function observeRequests(telemetry: Telemetry, app: FastifyInstance, streams: EventStreams): void {
  const duration = telemetry.histogram(CONSOLE_TELEMETRY.duration);
  telemetry.gauge(CONSOLE_TELEMETRY.streams, () => streams.size);
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    duration.observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / 1_000);
  });
}

/** A trace for each request of the API: the calls that it makes belong to it. */
export function traceRequests(app: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, CallSpan>();
  app.addHook('onRequest', (request, _reply, done) => {
    const span = startRequestSpan(request.method, request.routeOptions.url ?? 'unknown');
    spans.set(request, span);
    // What is called from here on belongs to the span: the other hooks, and the handler.
    span.run(done);
  });
  app.addHook('onResponse', async (request, reply) => spans.get(request)?.end(reply.statusCode));
}
