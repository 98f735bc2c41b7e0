import type { Readable, Writable } from 'node:stream';
import type { sendUnaryData, UntypedHandleCall } from '@grpc/grpc-js';
import type { MethodShape } from '@online-cnclip/contracts';
import { UnavailableError } from '@online-cnclip/foundation';
import type { CallContext } from './call-context.ts';
import type { Calls, ServerCall } from './calls.ts';
import type { Implementation, UntypedHandler } from './handlers.ts';
import { requireWellFormed } from './messages.ts';
import { type RequestStream, readRequests, writeResponses } from './streams.ts';

type OneRequestCall = ServerCall & { readonly request: unknown };

/** The handlers in the form that grpc-js calls them: callbacks and emitters. */
export function adaptHandlers(
  { definition, handlers }: Implementation,
  calls: Calls,
): Record<string, UntypedHandleCall> {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const handler = handlers[name];
      if (!handler) throw new TypeError(`no handler for ${method.path}`);
      return [
        name,
        method.responseStream ? manyResponses(method, handler, calls) : oneResponse(method, handler, calls),
      ];
    }),
  );
}

const nameOf = (method: MethodShape): string => method.path.slice(1);

/** Unary and client-streaming methods. */
function oneResponse(method: MethodShape, handler: UntypedHandler, calls: Calls): UntypedHandleCall {
  const name = nameOf(method);
  return ((call: OneRequestCall, callback: sendUnaryData<unknown>) => {
    const response = calls.run(call, name, async (context) => {
      // A drain leaves client streams alone: their end is near, and a part of them has no answer.
      const value = await handler(requestOf(call, method, calls, context).request as never, context);
      calls.countSent(name);
      return value;
    });
    response.then(
      (value) => callback(null, value),
      (ending) => callback(ending),
    );
  }) as UntypedHandleCall;
}

/** Server-streaming and bidirectional methods. */
function manyResponses(method: MethodShape, handler: UntypedHandler, calls: Calls): UntypedHandleCall {
  const name = nameOf(method);
  return ((call: OneRequestCall & Writable) => {
    const written = calls.run(call, name, async (context) => {
      const { request, stream } = requestOf(call, method, calls, context, context.draining);
      const responses = handler(request as never, context) as AsyncIterable<unknown>;
      await writeResponses(call, responses, context.signal, () => calls.countSent(name));
      // All that was accepted is answered; the client learns that the rest was not.
      if (stream?.cutShort) throw new UnavailableError('the service is shutting down');
    });
    written.then(
      () => call.end(),
      (ending) => call.emit('error', ending),
    );
  }) as UntypedHandleCall;
}

function requestOf(
  call: OneRequestCall,
  method: MethodShape,
  calls: Calls,
  context: CallContext,
  stop?: AbortSignal,
): { readonly request: unknown; readonly stream?: RequestStream } {
  const count = () => calls.countReceived(context.method);
  if (!method.requestStream) {
    count();
    return { request: requireWellFormed(call.request) };
  }
  const stream = readRequests(call as unknown as Readable, context.signal, stop, count);
  return { request: stream.messages, stream };
}
