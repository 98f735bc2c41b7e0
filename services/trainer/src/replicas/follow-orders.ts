import { isAbsolute, relative } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  DataFolder,
  DeadlineExceededError,
  type Logger,
  messageOf,
  UnavailableError,
} from '@online-cnclip/foundation';
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
  let current: Participation | undefined;
  const leave = async () => {
    current?.leave.abort();
    await current?.left;
    current = undefined;
  };
  for await (const order of followRuns({ ...place, logger, credentials }, signal)) {
    // An order is given again by a replica 0 that came back. Whoever has left the run by then takes part again.
    if (order && order.run === current?.run && !current.hasEnded) continue;
    await leave();
    if (order) current = participate(order, options);
  }
  await leave();
}

interface Participation {
  readonly run: string;
  readonly leave: AbortController;
  readonly left: Promise<void>;
  /** By itself. */
  hasEnded: boolean;
}

function participate(order: RunOrder, options: FollowerOptions): Participation {
  const leave = new AbortController();
  const participation = {
    run: order.run,
    leave,
    left: takePart(order, options, leave.signal).then(() => {
      participation.hasEnded = true;
    }),
    hasEnded: false,
  };
  return participation;
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
      // What it failed with it would fail with again. What was killed comes back, and who waited in vain waits again: while the order
      // stands the others wait for this one, too.
      if (!(error instanceof UnavailableError || error instanceof DeadlineExceededError)) return;
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
