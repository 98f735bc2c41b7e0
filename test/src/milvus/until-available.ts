import { UnavailableError } from '@online-cnclip/foundation';

/** A channel that has lost its server tries again after a while; the test's time limit ends the wait. */
export async function untilAvailable<T>(call: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
    }
}
