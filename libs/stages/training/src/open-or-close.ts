/** Opens what is made of several parts. Where that fails, those that were opened are closed again. */
export async function openOrClose<T>(open: (closers: AsyncDisposableStack) => Promise<T>): Promise<T> {
  const closers = new AsyncDisposableStack();
  try {
    return await open(closers);
  } catch (error) {
    await closers.disposeAsync();
    throw error;
  }
}
