import type { Readable, Writable } from 'node:stream';
import type { sendUnaryData, UntypedHandleCall } from '@grpc/grpc-js';
import type { MethodShape } from '@online-cnclip/contracts';
import { UnavailableError } from '@online-cnclip/foundation';
import type { Admission, MessageAdmission } from './admission.ts';
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
  admission: Admission,
): Record<string, UntypedHandleCall> {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const handler = handlers[name];
      if (!handler) throw new TypeError(`no handler for ${method.path}`);
      return [name, (method.responseStream ? manyResponses : oneResponse)(method, handler, calls, admission)];
    }),
  );
}

const nameOf = (method: MethodShape): string => method.path.slice(1);

/** Unary and client-streaming methods. */
function oneResponse(
  method: MethodShape,
  handler: UntypedHandler,
  calls: Calls,
  admission: Admission,
): UntypedHandleCall {
  const name = nameOf(method);
  return ((call: OneRequestCall, callback: sendUnaryData<unknown>) => {
    const response = calls.run(call, name, async (context) => {
      const count = () => calls.countReceived(name);
      // A drain leaves client streams alone: their end is near, and a part of them has no answer.
      const value = method.requestStream
        ? await withRequests(call, admission.openStream(method, context), context, { count }, (requests) =>
            handler(requests.messages as never, context),
          )
        : await withRequest(call, method, admission, context, count, (request) =>
            handler(request as never, context),
          );
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
function manyResponses(
  method: MethodShape,
  handler: UntypedHandler,
  calls: Calls,
  admission: Admission,
): UntypedHandleCall {
  const name = nameOf(method);
  return ((call: OneRequestCall & Writable) => {
    const written = calls.run(call, name, async (context) => {
      const count = () => calls.countReceived(name);
      const answer = (request: unknown) =>
        writeResponses(
          call,
          handler(request as never, context) as AsyncIterable<unknown>,
          context.signal,
          () => calls.countSent(name),
        );
      if (!method.requestStream) return withRequest(call, method, admission, context, count, answer);
      const until = { count, stop: context.draining };
      await withRequests(call, admission.openStream(method, context), context, until, async (requests) => {
        await answer(requests.messages);
        // All that was accepted is answered; the client learns that the rest was not.
        if (requests.cutShort) throw new UnavailableError('the service is shutting down');
      });
    });
    written.then(
      () => call.end(),
      (ending) => call.emit('error', ending),
    );
  }) as UntypedHandleCall;
}

function withRequest<T>(
  call: OneRequestCall,
  method: MethodShape,
  admission: Admission,
  context: CallContext,
  count: () => void,
  work: (request: unknown) => T,
): Promise<Awaited<T>> {
  const request = requireWellFormed(call.request);
  return admission.run(method, request, context, () => {
    count();
    return work(request);
  });
}

async function withRequests<T>(
  call: OneRequestCall,
  admission: MessageAdmission,
  context: CallContext,
  { count, stop }: { readonly count: () => void; readonly stop?: AbortSignal },
  work: (requests: RequestStream) => T,
): Promise<Awaited<T>> {
  context.release = (message) => admission.release(message);
  try {
    return await work(readRequests(call as unknown as Readable, context.signal, stop, count, admission));
  } finally {
    admission.close();
  }
}
