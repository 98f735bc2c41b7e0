import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AbortedError, UnavailableError } from '@online-cnclip/foundation';
import { errorOfReport } from '../training/failure-report.ts';
import type { BuildOrder, BuildReport, BuildRequest } from './build-messages.ts';

const ENTRY = fileURLToPath(new URL('./build-process.ts', import.meta.url));

/** Standard output belongs to the service's ready line. */
const STDERR = 2;

export interface BuildHooks {
  readonly signal: AbortSignal;
  readonly onReport: (report: Extract<BuildReport, { kind: 'progress' | 'split' }>) => void;
}

/** Folders of the builds that go on: processes of two would not know of each other. */
const building = new Set<string>();

/**
 * Builds a data set in a process of its own: liblmdb, as we build it (data format v1), never gives back what an environment
 * that was closed had open, and a build's environments are of files that the next build removes.
 *
 * @throws as buildDataset does; UnavailableError when the process was killed. It has ended then.
 */
export async function buildInProcess(request: BuildRequest, hooks: BuildHooks): Promise<void> {
  const folder = request.lmdbDir ?? request.dataDir;
  if (building.has(folder)) throw new AbortedError('it is being built already', { place: folder });
  building.add(folder);
  try {
    await runProcess(request, hooks);
  } finally {
    building.delete(folder);
  }
}

async function runProcess(request: BuildRequest, { signal, onReport }: BuildHooks): Promise<void> {
  const child = fork(ENTRY, [], { serialization: 'advanced', stdio: ['ignore', STDERR, STDERR, 'ipc'] });
  const give = (order: BuildOrder): void => {
    if (child.connected) child.send(order);
  };
  const cancel = (): void => give({ kind: 'cancel' });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let end: Extract<BuildReport, { kind: 'finished' | 'failed' }> | undefined;
  child.on('message', (report: BuildReport) => {
    if (report.kind === 'progress' || report.kind === 'split') onReport(report);
    else end = report;
  });
  child.on('error', reject);
  child.on('exit', (code, killedBy) => {
    if (end?.kind === 'finished') resolve();
    else if (end) reject(errorOfReport(end.error));
    else reject(new UnavailableError(`the process of the build ended by ${killedBy ?? `status ${code}`}`));
  });
  signal.addEventListener('abort', cancel, { once: true });
  // A build that is not wanted any more is not begun.
  if (signal.aborted) cancel();
  give({ kind: 'build', request });
  await promise.finally(() => signal.removeEventListener('abort', cancel));
}
