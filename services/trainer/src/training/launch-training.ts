import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { errorOfStatus, STATUS_OF_KIND } from '@online-cnclip/contracts';
import { UnavailableError } from '@online-cnclip/foundation';
import type { TrainingResult } from '@online-cnclip/training';
import type { LaunchTraining } from '../runs/runs.ts';
import type { FailureReport, Order, Report } from './messages.ts';

const ENTRY = fileURLToPath(new URL('./training-process.ts', import.meta.url));

export interface TrainingLauncher {
  readonly launch: LaunchTraining;
  /** One real training step of a tiny model, in a process as runs have it. Rejects where that does not work. */
  check(): Promise<void>;
}

/**
 * Trains in a process of its own: a step never delays a call, what it allocated is given back at its end, and a crash
 * of native code, or the kernel's killing it for its memory, ends one run and not the service.
 *
 * @param threads that a step computes with. @param entry the process's script, another one in tests.
 */
export function processLauncher(threads: number, entry = ENTRY): TrainingLauncher {
  return {
    launch: (options, { signal, onEvent }) => {
      const child = start(entry);
      const onStop = () => give(child, { kind: 'stop' });
      signal.addEventListener('abort', onStop, { once: true });
      give(child, { kind: 'train', options, threads });
      if (signal.aborted) onStop();
      return outcomeOf(child, onEvent).finally(() => signal.removeEventListener('abort', onStop));
    },
    check: async () => {
      const child = start(entry);
      give(child, { kind: 'check', threads });
      await outcomeOf(child, () => {});
    },
  };
}

/** Standard output belongs to the service's ready line: what a library prints goes to standard error. */
const start = (entry: string): ChildProcess =>
  fork(entry, [], { serialization: 'advanced', stdio: ['ignore', STDERR, STDERR, 'ipc'] });

const STDERR = 2;

function give(child: ChildProcess, order: Order): void {
  if (child.connected) child.send(order);
}

/** Settles once the process has ended, so that nothing still holds its files. */
function outcomeOf(
  child: ChildProcess,
  onEvent: Parameters<LaunchTraining>[1]['onEvent'],
): Promise<TrainingResult> {
  const { promise, resolve, reject } = Promise.withResolvers<TrainingResult>();
  let report: Exclude<Report, { kind: 'event' }> | undefined;
  child.on('message', (message: Report) => {
    if (message.kind === 'event') onEvent(message.event);
    else report = message;
  });
  child.on('error', reject);
  child.on('exit', (code, signal) => {
    if (report?.kind === 'finished') resolve(report.result);
    else if (report?.kind === 'failed') reject(errorOf(report.error));
    else
      reject(
        new UnavailableError(
          `the training process ended by ${signal ?? `status ${code}`}; starting the run again resumes it from its last checkpoint`,
        ),
      );
  });
  return promise;
}

function errorOf({ errorKind, message, stack }: FailureReport): Error {
  if (errorKind !== undefined) return errorOfStatus(STATUS_OF_KIND[errorKind], message);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
