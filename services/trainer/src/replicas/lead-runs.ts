import { type Logger, messageOf, UnavailableError } from '@online-cnclip/foundation';
import type { RunOrders } from '@online-cnclip/replicas';
import type { LaunchTraining } from '../runs/runs.ts';
import type { LaunchReplica } from '../training/launch-training.ts';
import type { ReplicaPlace } from './place.ts';

/** Times that this replica's own process is started again in a run: a process that dies each time is not mended by more. */
const MAX_RESTARTS = 10;

export interface LeadOptions {
  readonly launch: LaunchReplica;
  readonly place: ReplicaPlace;
  readonly orders: RunOrders;
  readonly dataFolder: string;
  readonly logger: Logger;
}

/** Replica 0's way to train: it has all others train too, and starts its own process again when that is lost. */
export function leadRuns({ launch, place, orders, dataFolder, logger }: LeadOptions): LaunchTraining {
  return async (options, hooks, run) => {
    orders.start({ run, optionsJson: JSON.stringify(options), dataFolder });
    try {
      for (let restarts = 0; ; restarts++)
        try {
          return await launch(options, hooks, { ...place, run });
        } catch (error) {
          if (!(error instanceof UnavailableError) || hooks.signal.aborted || restarts === MAX_RESTARTS)
            throw error;
          logger.warn({ run: options.name }, `replica 0 is started again: ${messageOf(error)}`);
        }
    } finally {
      orders.end();
    }
  };
}
