// Spans as the rest of the code makes them. Nothing here loads the SDK: until `startTracing` has run, everything is a no-op.
import { type Metadata, status } from '@grpc/grpc-js';
import { messageOf, type TraceOfCall } from '@online-cnclip/foundation';
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { ATTRIBUTE, TRACER_NAME } from './attributes.ts';

/** Statuses that a server's span is an error for, by the conventions; the others are the caller's own doing. */
const SERVER_ERRORS: ReadonlySet<status> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** The span of one call or request. */
export interface CallSpan {
  /** Runs the work as what the span is about: logs, calls and spans within it belong to it. */
  run<T>(work: () => T): T;
  end(code: number): void;
}

const NO_SPAN: CallSpan = { run: (work) => work(), end: () => {} };

let isOn = false;

/** Said by `startTracing` and by the end of it. */
export function switchTracing(on: boolean): void {
  isOn = on;
}

const tracer = () => trace.getTracer(TRACER_NAME);

const metadataGetter: TextMapGetter<Metadata> = {
  keys: (metadata) => Object.keys(metadata.getMap()),
  get: (metadata, key) => metadata.get(key).map(String),
};

interface IncomingCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

/**
 * The span of a call that has arrived, with the parent that its metadata names.
 *
 * @param method `onlinecnclip.encoder.v1.EncoderService/EncodeText`.
 */
export function startCallSpan(call: IncomingCall, method: string, requestId: () => string): CallSpan {
  if (!isOn) return NO_SPAN;
  const [service = '', name = ''] = method.split('/');
  const parent = propagation.extract(context.active(), call.metadata, metadataGetter);
  const attributes = { [ATTRIBUTE.system]: 'grpc', [ATTRIBUTE.service]: service, [ATTRIBUTE.method]: name };
  const span = tracer().startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
  if (span.isRecording()) {
    span.setAttribute(ATTRIBUTE.peer, call.getPeer());
    span.setAttribute(ATTRIBUTE.requestId, requestId());
  }
  return callSpan(span, parent, (code) => {
    span.setAttribute(ATTRIBUTE.status, code);
    if (SERVER_ERRORS.has(code))
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(status[code]) });
  });
}

/** The span of a request of HTTP, which begins a trace: what a browser says of traces is not asked for. */
export function startRequestSpan(httpMethod: string, route: string): CallSpan {
  if (!isOn) return NO_SPAN;
  const attributes = { [ATTRIBUTE.httpMethod]: httpMethod, [ATTRIBUTE.httpRoute]: route };
  const options = { kind: SpanKind.SERVER, attributes, root: true };
  const span = tracer().startSpan(`${httpMethod} ${route}`, options);
  return callSpan(span, context.active(), (code) => {
    span.setAttribute(ATTRIBUTE.httpStatus, code);
    if (code >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  });
}

function callSpan(span: Span, parent: Context, onEnd: (code: number) => void): CallSpan {
  const inside = trace.setSpan(parent, span);
  return {
    run: (work) => context.with(inside, work),
    end(code) {
      onEnd(code);
      span.end();
    },
  };
}

/**
 * Runs work in a span of its own, a child of the one that is active.
 *
 * @param traceparent of another process, whose span is the parent instead: see {@link traceparent}.
 */
export async function inSpan<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
  parent?: string,
): Promise<T> {
  if (!isOn) return work();
  const outside =
    parent === undefined ? context.active() : propagation.extract(context.active(), { traceparent: parent });
  const span = tracer().startSpan(name, { attributes }, outside);
  try {
    return await context.with(trace.setSpan(outside, span), work);
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** A parent whose children nobody keeps, here or in the services that they call. */
const NOT_KEPT = { traceId: 'f'.repeat(32), spanId: 'f'.repeat(16), traceFlags: TraceFlags.NONE };

/** Runs work that no trace is to show: what a process does again and again by itself would bury what somebody asked for. */
export function untraced<T>(work: () => T): T {
  return isOn ? context.with(trace.setSpanContext(context.active(), NOT_KEPT), work) : work();
}

/** The active span as the traceparent of W3C, for another process; undefined where nothing is traced. */
export function traceparent(): string | undefined {
  if (!isOn) return undefined;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** Where work for the call in hand is noted: one span for each piece, a child of the call's. */
export const traceOfCall: TraceOfCall = () => {
  if (!isOn) return undefined;
  const parent = context.active();
  if (!trace.getSpan(parent)?.isRecording()) return undefined;
  return ({ name, startedAt, endedAt, attributes = {} }) => {
    const startTime = performance.timeOrigin + startedAt;
    tracer()
      .startSpan(name, { startTime, attributes }, parent)
      .end(performance.timeOrigin + endedAt);
  };
};

/** What a log line holds of the span that it was written in. */
export function traceFields(): { trace_id?: string; span_id?: string } {
  const span = trace.getActiveSpan()?.spanContext();
  return span && isSpanContextValid(span) && span.traceId !== NOT_KEPT.traceId
    ? { trace_id: span.traceId, span_id: span.spanId }
    : {};
}
