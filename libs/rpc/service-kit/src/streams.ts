import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '@online-cnclip/foundation';
import type { MessageAdmission } from './admission.ts';
import { requireWellFormed } from './messages.ts';

/** A call's request messages, and whether draining ended them before the client did. */
export interface RequestStream {
  readonly messages: AsyncIterable<unknown>;
  readonly cutShort: boolean;
}

/**
 * Reads a call on demand. Ends when the client ends its side, or when `stop` aborts: what was read by then is accepted,
 * what lies unread in the stream is not. Each message waits for its admission, and the stream is not read meanwhile.
 * Throws the reason when `signal` aborts.
 */
export function readRequests(
  call: Readable,
  signal: AbortSignal,
  stop: AbortSignal | undefined,
  onMessage: () => void,
  admission: Pick<MessageAdmission, 'askNext' | 'admit'>,
): RequestStream {
  const stream = { messages: read(), cutShort: false };
  return stream;

  async function* read(): AsyncGenerator<unknown> {
    // The stream stays whole when a handler stops reading early: it is also what the response is written to.
    const iterator = call.iterator({ destroyOnReturn: false });
    while (true) {
      admission.askNext();
      const next = await nextUnlessStopped(iterator, signal, stop);
      if (next === undefined) {
        stream.cutShort = true;
        return;
      }
      if (next.done) {
        // A client that went away looks like one that ended its side until the stream's close is seen, a turn later.
        await setImmediate();
        throwIfAborted(signal);
        return;
      }
      const message = requireWellFormed(next.value);
      await admission.admit(message);
      onMessage();
      yield message;
    }
  }
}

/** The next message, or undefined when `stop` aborts first. */
async function nextUnlessStopped(
  iterator: AsyncIterator<unknown>,
  signal: AbortSignal,
  stop: AbortSignal | undefined,
): Promise<IteratorResult<unknown> | undefined> {
  if (stop?.aborted) return undefined;
  // One listener per message, removed again: racing against one promise for the whole call would grow without end.
  const stopped = Promise.withResolvers<undefined>();
  const onStop = () => stopped.resolve(undefined);
  stop?.addEventListener('abort', onStop);
  try {
    return await Promise.race([iterator.next(), stopped.promise]);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    stop?.removeEventListener('abort', onStop);
  }
}

/** Writes responses as fast as the client takes them; the responses' generator is closed whatever happens. */
export async function writeResponses(
  call: Writable,
  responses: AsyncIterable<unknown>,
  signal: AbortSignal,
  onMessage: () => void,
): Promise<void> {
  for await (const response of responses) {
    throwIfAborted(signal);
    onMessage();
    if (!call.write(response)) await once(call, 'drain', { signal });
  }
}
