/** What became of one item of a batch: its value, or the error that concerns it alone. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Error };

/**
 * Waits for every item. An error of one item stays with that item, except when the whole batch was cancelled or is
 * past its deadline.
 *
 * @throws the signal's reason once the signal is aborted.
 */
export async function settleItems<T>(
  items: readonly Promise<T>[],
  throwIfCancelled: () => void,
): Promise<Outcome<T>[]> {
  const settled = await Promise.allSettled(items);
  throwIfCancelled();
  return settled.map((result) =>
    result.status === 'fulfilled'
      ? { ok: true, value: result.value }
      : { ok: false, error: toError(result.reason) },
  );
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
