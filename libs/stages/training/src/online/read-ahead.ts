/**
 * The same values, with at most `ahead` of them in preparation or waiting besides the one handed out: the source works
 * while its reader does. Leaving the loop early ends the source and waits for it.
 */
export async function* readAhead<T>(
  source: AsyncIterable<T>,
  ahead: number,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  const started: Promise<IteratorResult<T>>[] = [];
  const start = () => {
    const next = iterator.next();
    // Awaited in its turn; until then a failure must not count as unhandled.
    next.catch(() => {});
    started.push(next);
  };
  try {
    for (let i = 0; i < ahead; i++) start();
    while (true) {
      const next = await (started.shift() as Promise<IteratorResult<T>>);
      if (next.done) return;
      start();
      yield next.value;
    }
  } finally {
    await Promise.allSettled(started);
    await iterator.return?.();
  }
}
