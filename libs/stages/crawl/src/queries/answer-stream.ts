import { abortError } from '@online-cnclip/foundation';

export interface AnswerStreamOptions {
  /** Requests in work or answered and not yet taken. */
  readonly maxInFlight: number;
  /** No request is read after it aborts; those that were are answered, then its reason is thrown. */
  readonly stop: AbortSignal;
}

/**
 * Answers a stream of requests in the order in which they end, each exactly once. Reads no further request while as
 * many are in flight as may be, so that a slow reader holds the writer back.
 *
 * @throws what the requests or the work throw; the reason of `stop`.
 */
export async function* answerStream<Request, Answer>(
  requests: AsyncIterable<Request>,
  work: (request: Request) => Promise<Answer>,
  { maxInFlight, stop }: AnswerStreamOptions,
): AsyncGenerator<Answer> {
  const source = requests[Symbol.asyncIterator]();
  const stopped = new Promise<'stopped'>((resolve) => {
    stop.addEventListener('abort', () => resolve('stopped'), { once: true });
    if (stop.aborted) resolve('stopped');
  });
  const inFlight = new Map<number, Promise<{ key: number; answer: Answer }>>();
  let reading: Promise<IteratorResult<Request>> | undefined;
  let key = 0;
  let ended = false;
  try {
    for (;;) {
      if (!ended && !stop.aborted && inFlight.size < maxInFlight) reading ??= source.next();
      if (ended && inFlight.size === 0) return;
      if (stop.aborted && inFlight.size === 0) throw abortError(stop);
      const read = stop.aborted || ended ? undefined : reading;
      const event = await Promise.race([...inFlight.values(), ...(read ? [read, stopped] : [])]);
      if (event === 'stopped') continue;
      if ('key' in event) {
        inFlight.delete(event.key);
        yield event.answer;
        continue;
      }
      reading = undefined;
      if (event.done) ended = true;
      else {
        key += 1;
        const own = key;
        inFlight.set(
          own,
          work(event.value).then((answer) => ({ key: own, answer })),
        );
      }
    }
  } finally {
    for (const work of inFlight.values()) work.catch(() => {});
    reading?.catch(() => {});
    // Not awaited: a source that waits for a message would hold the end up.
    void source.return?.();
  }
}
