// The process of one build of a data set, forked by build-in-process.ts.
import { buildDataset } from '@online-cnclip/dataset';
import { failureReport } from '../training/failure-report.ts';
import type { BuildOrder, BuildReport } from './build-messages.ts';

const cancelled = new AbortController();

process.on('message', (order: BuildOrder) => {
  if (order.kind === 'cancel') cancelled.abort();
  else void obey(order);
});
// Ctrl-C in a terminal reaches every process: the service says what to do. Without the service nobody wants the build.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
process.on('disconnect', () => cancelled.abort());

async function obey({ request }: Extract<BuildOrder, { kind: 'build' }>): Promise<void> {
  try {
    await buildDataset({
      ...request,
      signal: cancelled.signal,
      onProgress: (progress) => void report({ kind: 'progress', progress }),
      onSplit: (split) => void report({ kind: 'split', split }),
    });
    await report({ kind: 'finished' });
  } catch (error) {
    await report({ kind: 'failed', error: failureReport(error) });
  }
  process.exit(0);
}

/** Resolves when the message is written; without a service there is nobody to tell. */
function report(message: BuildReport): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
  else resolve();
  return promise;
}
