// Spans of calls as their caller sees them. Without a tracer (the service's bootstrap brings one) they cost next to nothing.
import { Metadata, status } from '@grpc/grpc-js';
import { type MethodShape, RemoteError, STATUS_OF_KIND } from '@online-cnclip/contracts';
import { ApplicationError } from '@online-cnclip/foundation';
import {
  context,
  isSpanContextValid,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { CallOptions } from './call-options.ts';

const TRACER_NAME = 'online-cnclip';

/** Asked every few seconds by everybody who waits for a service: no news in a trace. */
const HEALTH_PATH = '/grpc.health.v1.Health/';

const metadataSetter = {
  set: (metadata: Metadata, key: string, value: string) => metadata.set(key, value),
};

type Call<T> = (request: unknown, options: CallOptions) => T;

/** The call, in a span of its own that the service's span becomes a child of. */
export function tracedCall<T>(method: MethodShape, call: Call<Promise<T>>): Call<Promise<T>> {
  const start = spanStarter(method);
  return (request, options) => {
    const traced = start(options);
    return traced ? follow(traced.span, call(request, traced.options)) : call(request, options);
  };
}

/** The same for a stream, whose span lasts from the first message that is asked for to the end of the loop. */
export function tracedStream<T>(
  method: MethodShape,
  call: Call<AsyncGenerator<T, void, void>>,
): Call<AsyncGenerator<T, void, void>> {
  const start = spanStarter(method);
  return async function* (request, options) {
    const traced = start(options);
    if (!traced) return yield* call(request, options);
    // Leaving the loop cancels the call.
    let code = status.CANCELLED;
    try {
      yield* call(request, traced.options);
      code = status.OK;
    } catch (error) {
      code = fail(traced.span, error);
      throw error;
    } finally {
      end(traced.span, code);
    }
  };
}

function spanStarter(method: MethodShape) {
  const [service = '', name = ''] = method.path.slice(1).split('/');
  const isTraced = !method.path.startsWith(HEALTH_PATH);
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': name };
  return (options: CallOptions): { readonly span: Span; readonly options: CallOptions } | undefined => {
    if (!isTraced) return undefined;
    const spanOptions = { kind: SpanKind.CLIENT, attributes };
    const span = trace.getTracer(TRACER_NAME).startSpan(`${service}/${name}`, spanOptions);
    if (!isSpanContextValid(span.spanContext())) return undefined;
    const metadata = options.metadata?.clone() ?? new Metadata();
    propagation.inject(trace.setSpan(context.active(), span), metadata, metadataSetter);
    return { span, options: { ...options, metadata } };
  };
}

async function follow<T>(span: Span, response: Promise<T>): Promise<T> {
  let code = status.OK;
  try {
    return await response;
  } catch (error) {
    code = fail(span, error);
    throw error;
  } finally {
    end(span, code);
  }
}

function fail(span: Span, error: unknown): status {
  const code = codeOf(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: status[code] });
  return code;
}

function end(span: Span, code: status): void {
  span.setAttribute('rpc.grpc.status_code', code);
  span.end();
}

function codeOf(error: unknown): status {
  if (error instanceof ApplicationError) return STATUS_OF_KIND[error.kind];
  return error instanceof RemoteError ? error.code : status.UNKNOWN;
}
