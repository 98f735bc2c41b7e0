// The process of one training run, forked by launch-training.ts: takes its orders from the service over the IPC
// channel and wires the training stage to runtime and evaluation.

import {
  type ClientSecurity,
  crawledImages,
  createCrawlerClient,
  openClientSecurity,
} from '@online-cnclip/client';
import { connectGroup } from '@online-cnclip/collectives';
import { recallFromFeatures } from '@online-cnclip/evaluation';
import { createLogger } from '@online-cnclip/foundation';
import { Rendezvous } from '@online-cnclip/replicas';
import { openRuntime } from '@online-cnclip/runtime';
import { DEFAULT_PROFILE_FOLDER, profileOnSignal } from '@online-cnclip/service-kit';
import {
  type AdaptEvent,
  type AdaptResult,
  adapt,
  createTrainStep,
  type ReplicaPorts,
  type TrainingEvent,
  type TrainingResult,
  train,
} from '@online-cnclip/training';
import { failureReport } from './failure-report.ts';
import type { Order, ReplicaOrder, Report } from './messages.ts';
import { tinyTraining } from './tiny-training.ts';
import { traced, tracedEvents } from './trace-run.ts';

const stop = new AbortController();

process.on('message', (order: Order) => {
  if (order.kind === 'stop') stop.abort();
  else void obey(order);
});
// Ctrl-C in a terminal reaches every process: the service says what to do. Without the service: save and end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
// Where the service's own profiles go by default.
profileOnSignal({
  name: 'training',
  folder: DEFAULT_PROFILE_FOLDER,
  logger: createLogger('training', 'info'),
  signal: stop.signal,
});
let isFollower = false;
process.on('disconnect', () => {
  // A lost trainer is one replica less for the others to wait for: not the end of their run.
  if (isFollower) process.exit(1);
  stop.abort();
});

async function obey(order: Exclude<Order, { kind: 'stop' }>): Promise<void> {
  try {
    await report({ kind: 'finished', result: await traced(order, () => execute(order)) });
  } catch (error) {
    await report({ kind: 'failed', error: failureReport(error) });
  }
  // Native threads may keep a process alive that has nothing left to do.
  process.exit(0);
}

async function execute(order: Exclude<Order, { kind: 'stop' }>): Promise<TrainingResult | AdaptResult> {
  const runtime = await openRuntime({ ...order.runtime, arena: false });
  try {
    if (order.kind === 'check') return await tinyTraining(runtime);
    const { credentials } = await openClientSecurity(order.tls);
    const replicas =
      order.kind === 'train' && order.replica ? replicaPorts(order.replica, credentials) : undefined;
    isFollower = (replicas?.rendezvous.rank ?? 0) > 0;
    const ports = {
      ...(replicas && { replicas }),
      runtime,
      createTrainStep,
      recall: { recall: recallFromFeatures },
      crawledImages: (address: string) => crawledImages(createCrawlerClient(address, { credentials })),
    };
    const traceEvent = tracedEvents();
    const onEvent = (event: TrainingEvent | AdaptEvent) => {
      traceEvent(event);
      void report({ kind: 'event', event });
    };
    const hooks = { signal: stop.signal, onEvent };
    return order.kind === 'adapt'
      ? await adapt(order.options, ports, hooks)
      : await train(order.options, ports, hooks);
  } finally {
    await runtime.dispose();
  }
}

function replicaPorts(replica: ReplicaOrder, credentials: ClientSecurity['credentials']): ReplicaPorts {
  const { gatherTimeoutMs, collectiveTimeoutMs, ...place } = replica;
  const rendezvous = new Rendezvous({ ...place, timeoutMs: gatherTimeoutMs, credentials });
  return { rendezvous, connect: connectGroup, timeoutMs: collectiveTimeoutMs };
}

/** Resolves when the message is written; without a service there is nobody to tell. */
function report(message: Report): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
  else resolve();
  return promise;
}
