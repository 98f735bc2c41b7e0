/**
 * Maps over a sequence in its order, with at most `ahead` results in preparation or waiting besides the one handed
 * out. Leaving the loop early waits for what has been started, so that nothing still uses what the caller closes.
 */
export async function* prefetch<T, R>(
  items: Iterable<T>,
  ahead: number,
  load: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const started: Promise<R>[] = [];
  const iterator = items[Symbol.iterator]();
  const start = () => {
    const next = iterator.next();
    if (next.done) return;
    const result = load(next.value);
    // Awaited in its turn; until then a failure must not count as unhandled.
    result.catch(() => {});
    started.push(result);
  };
  try {
    for (let i = 0; i < ahead; i++) start();
    while (started.length) {
      const result = await (started[0] as Promise<R>);
      started.shift();
      start();
      yield result;
    }
  } finally {
    await Promise.allSettled(started);
  }
}
