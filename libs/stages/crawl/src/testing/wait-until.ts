import { setTimeout as sleep } from 'node:timers/promises';

/** Far above what a busy machine takes: it is reached only when what is waited for does not come. */
const PATIENCE_MS = 20_000;

/** Looks until something is there. */
export async function waitUntil<T>(look: () => T | undefined | false, what: string): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await sleep(2);
  }
}
