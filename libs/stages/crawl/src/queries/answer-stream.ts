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
  const flight = new Flight(requests[Symbol.asyncIterator](), work);
  stop.addEventListener('abort', flight.announce);
  try {
    for (;;) {
      const answer = flight.takeAnswer();
      if (answer) {
        yield answer.value;
        continue;
      }
      if (flight.size === 0 && flight.isEnded) return;
      if (flight.size === 0 && stop.aborted) throw abortError(stop);
      if (!stop.aborted && flight.size < maxInFlight) flight.read();
      await flight.change;
    }
  } finally {
    stop.removeEventListener('abort', flight.announce);
    flight.leave();
  }
}

/** The requests that were read and whose answers were not taken. */
class Flight<Request, Answer> {
  readonly #source: AsyncIterator<Request>;
  readonly #work: (request: Request) => Promise<Answer>;
  readonly #answers: { readonly value: Answer }[] = [];
  #isReading = false;
  #failure: { readonly error: unknown } | undefined;
  // A new one for each change: waiting again and again for one promise of the whole stream would grow without end.
  #changed = Promise.withResolvers<void>();
  size = 0;
  isEnded = false;

  constructor(source: AsyncIterator<Request>, work: (request: Request) => Promise<Answer>) {
    this.#source = source;
    this.#work = work;
  }

  get change(): Promise<void> {
    return this.#changed.promise;
  }

  /** @throws what reading or working has thrown. */
  takeAnswer(): { readonly value: Answer } | undefined {
    if (this.#failure) throw this.#failure.error;
    const answer = this.#answers.shift();
    if (answer) this.size -= 1;
    return answer;
  }

  /** One more request, unless one is being read or there are no more. */
  read(): void {
    if (this.#isReading || this.isEnded) return;
    this.#isReading = true;
    this.#source
      .next()
      .then(
        (next) => {
          if (next.done) this.isEnded = true;
          else this.#begin(next.value);
        },
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#isReading = false;
        this.announce();
      });
  }

  /** Whatever is not answered goes on by itself. Not awaited: a source that waits for a message would hold the end up. */
  leave(): void {
    void this.#source.return?.();
  }

  readonly announce = (): void => {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  };

  #begin(request: Request): void {
    this.size += 1;
    this.#work(request)
      .then(
        (value) => void this.#answers.push({ value }),
        (error: unknown) => this.#fail(error),
      )
      .finally(this.announce);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
  }
}
