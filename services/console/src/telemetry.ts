import { type CallSpan, startRequestSpan, type Telemetry } from '@online-cnclip/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { EventStreams } from './http/event-stream.ts';

/** The console's metrics. */
const CONSOLE_TELEMETRY = {
  duration: {
    name: 'onlinecnclip_console_request_duration_seconds',
    help: 'Time from the arrival of an HTTP request to the end of its answer, by route and status',
    labels: ['route', 'status'],
    buckets: [0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  streams: {
    name: 'onlinecnclip_console_open_streams',
    help: 'Pages that watch something live',
  },
} as const;

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
