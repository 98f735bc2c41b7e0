import { isAbsolute, relative } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DataFolder, type Logger, messageOf, UnavailableError } from '@online-cnclip/foundation';
import { type FollowOptions, followRuns, type RunOrder } from '@online-cnclip/replicas';
import { parseTrainingOptions, type TrainingOptions } from '@online-cnclip/training';
import type { LaunchReplica } from '../training/launch-training.ts';
import type { ReplicaPlace } from './place.ts';

/** Before a lost process is started again. */
const RESTART_AFTER_MS = 1_000;

export interface FollowerOptions {
  readonly launch: LaunchReplica;
  readonly place: ReplicaPlace;
  readonly dataFolder: string;
  readonly logger: Logger;
  /** Plain text by default. */
  readonly credentials?: FollowOptions['credentials'];
}

/** What a trainer does that is not replica 0: takes part in each run that replica 0 starts, until the signal aborts. */
export async function followOrders(options: FollowerOptions, signal: AbortSignal): Promise<void> {
  const { place, logger, credentials } = options;
  let current:
    | { readonly run: string; readonly leave: AbortController; readonly left: Promise<void> }
    | undefined;
  const leave = async () => {
    current?.leave.abort();
    await current?.left;
    current = undefined;
  };
  for await (const order of followRuns({ ...place, logger, credentials }, signal)) {
    if (order?.run === current?.run) continue;
    await leave();
    if (!order) continue;
    const controller = new AbortController();
    current = { run: order.run, leave: controller, left: takePart(order, options, controller.signal) };
  }
  await leave();
}

async function takePart(order: RunOrder, options: FollowerOptions, signal: AbortSignal): Promise<void> {
  const { launch, place, logger } = options;
  const { run } = order;
  while (!signal.aborted)
    try {
      const training = optionsOf(order, new DataFolder(options.dataFolder));
      const hooks = { signal, onEvent: () => {} };
      const { outcome, step } = await launch(training, hooks, { ...place, run });
      logger.info({ run, outcome, step }, 'the run has ended');
      return;
    } catch (error) {
      if (signal.aborted) return;
      logger.error({ run, err: error }, `the replica's process has ended: ${messageOf(error)}`);
      // What it failed with it would fail with again; what was killed comes back.
      if (!(error instanceof UnavailableError)) return;
      await setTimeout(RESTART_AFTER_MS, undefined, { signal }).catch(() => {});
    }
}

/**
 * Replica 0's options, with this machine's data folder in its paths.
 *
 * @throws InvalidInputError naming the option whose path leads out of the data folder.
 */
export function optionsOf({ optionsJson, dataFolder }: RunOrder, own: DataFolder): TrainingOptions {
  const given = JSON.parse(optionsJson) as Record<string, unknown>;
  return parseTrainingOptions(
    Object.fromEntries(
      Object.entries(given).map(([name, value]) => [
        name,
        typeof value === 'string' && isAbsolute(value)
          ? own.resolve(relative(dataFolder, value) || '.', name)
          : value,
      ]),
    ),
  );
}
