import { UnsupportedError } from '@online-cnclip/foundation';

export async function unsupported(): Promise<never> {
  throw new UnsupportedError('the test has no answer to this');
}

// biome-ignore lint/correctness/useYield: it has nothing to give
export async function* unsupportedStream(): AsyncGenerator<never, void, void> {
  await unsupported();
}
