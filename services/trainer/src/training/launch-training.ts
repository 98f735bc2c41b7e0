import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TlsFiles } from '@online-cnclip/client';
import { UnavailableError } from '@online-cnclip/foundation';
import type { RuntimeChoice } from '@online-cnclip/runtime';
import type { TrainingOptions, TrainingResult } from '@online-cnclip/training';
import type { LaunchAdaptation, TrainingHooks } from '../runs/runs.ts';
import { errorOfReport } from './failure-report.ts';
import type { Order, ReplicaOrder, Report, TraceOrder } from './messages.ts';

const ENTRY = fileURLToPath(new URL('./training-process.ts', import.meta.url));

/** Trains as one of several replicas. Those that are not replica 0 leave at once when the signal aborts. */
export type LaunchReplica = (
  options: TrainingOptions,
  hooks: TrainingHooks,
  replica: ReplicaOrder,
) => Promise<TrainingResult>;

export interface TrainingLauncher {
  launch(options: TrainingOptions, hooks: TrainingHooks): Promise<TrainingResult>;
  readonly launchReplica: LaunchReplica;
  readonly launchAdaptation: LaunchAdaptation;
  /** One real training step of a tiny model, in a process as runs have it. Rejects where that does not work. */
  check(): Promise<void>;
}

export interface LauncherOptions {
  /** What a training step computes with. */
  readonly runtime: RuntimeChoice;
  /** What the training process calls others with; absent for plain text. */
  readonly tls?: TlsFiles | undefined;
  /** Of the training process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Asked when a process is started for a run; absent or undefined: nothing is traced. */
  readonly trace?: () => TraceOrder | undefined;
  /** The process's script; another one in tests. */
  readonly entry?: string;
}

/** libuv's own number of threads; images are decoded on them. */
const UV_THREADS = 4;

/**
 * Trains in a process of its own: a step never delays a call, what it allocated is given back at its end, and a crash
 * of native code, or the kernel's killing it for its memory, ends one run and not the service.
 */
export function processLauncher({
  runtime,
  environment,
  trace,
  tls,
  entry = ENTRY,
}: LauncherOptions): TrainingLauncher {
  /** Standard output belongs to the service's ready line: what a library prints goes to standard error. */
  const start = (decoders: number): ChildProcess =>
    fork(entry, [], {
      serialization: 'advanced',
      stdio: ['ignore', STDERR, STDERR, 'ipc'],
      env: { ...environment, UV_THREADPOOL_SIZE: String(Math.max(UV_THREADS, decoders)) },
    });
  const run = async <Event, Result>(
    order: Exclude<Order, { kind: 'stop' }>,
    decoders: number,
    { signal, onEvent }: Hooks<Event>,
  ): Promise<Result> => {
    const child = start(decoders);
    // A replica that is told to go must not have all others stop: replica 0 decides on that.
    const isFollower = order.kind === 'train' && (order.replica?.rank ?? 0) > 0;
    const onStop = () => (isFollower ? void child.kill('SIGKILL') : give(child, { kind: 'stop' }));
    signal.addEventListener('abort', onStop, { once: true });
    give(child, order);
    if (signal.aborted) onStop();
    // The process sends what belongs to its order.
    const outcome = outcomeOf(child, (event) => onEvent(event as Event)) as Promise<Result>;
    return outcome.finally(() => signal.removeEventListener('abort', onStop));
  };
  return {
    launch: (options, hooks) =>
      run({ kind: 'train', options, runtime, tls, trace: trace?.() }, options.numWorkers, hooks),
    launchReplica: (options, hooks, replica) =>
      run({ kind: 'train', options, runtime, tls, replica, trace: trace?.() }, options.numWorkers, hooks),
    launchAdaptation: (options, hooks) =>
      run({ kind: 'adapt', options, runtime, tls, trace: trace?.() }, options.numWorkers, hooks),
    check: async () => {
      const hooks = { signal: new AbortController().signal, onEvent: () => {} };
      await run({ kind: 'check', runtime }, 0, hooks);
    },
  };
}

interface Hooks<Event> {
  readonly signal: AbortSignal;
  readonly onEvent: (event: Event) => void;
}

type RunEvent = Extract<Report, { kind: 'event' }>['event'];
type RunResult = Extract<Report, { kind: 'finished' }>['result'];

const STDERR = 2;

function give(child: ChildProcess, order: Order): void {
  if (child.connected) child.send(order);
}

/** Settles once the process has ended, so that nothing still holds its files. */
function outcomeOf(child: ChildProcess, onEvent: (event: RunEvent) => void): Promise<RunResult> {
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  let report: Exclude<Report, { kind: 'event' }> | undefined;
  child.on('message', (message: Report) => {
    if (message.kind === 'event') onEvent(message.event);
    else report = message;
  });
  child.on('error', reject);
  child.on('exit', (code, signal) => {
    if (report?.kind === 'finished') resolve(report.result);
    else if (report?.kind === 'failed') reject(errorOfReport(report.error));
    else
      reject(
        new UnavailableError(
          `the training process ended by ${signal ?? `status ${code}`}; starting the run again resumes it from its last checkpoint`,
        ),
      );
  });
  return promise;
}
