import { setTimeout } from 'node:timers/promises';
import { type ClientOptions, createServiceClient } from '@online-cnclip/client';
import { ReplicaServiceService } from '@online-cnclip/contracts/replicas/v1';
import { type Logger, messageOf } from '@online-cnclip/foundation';
import type { RunOrder } from './coordination/run-orders.ts';

/** Between two attempts to reach replica 0. */
const RETRY_AFTER_MS = 1_000;

export interface FollowOptions {
  /** `host:port` of replica 0's trainer. */
  readonly address: string;
  readonly rank: number;
  readonly worldSize: number;
  readonly logger: Logger;
  /** Plain text by default. */
  readonly credentials?: ClientOptions['credentials'];
}

/**
 * What replica 0's trainer orders, until the signal aborts: a run, or that there is none. While replica 0 is away nothing is said,
 * and the replica's process waits for it at the rendezvous.
 */
export async function* followRuns(
  { address, rank, worldSize, logger, credentials }: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<RunOrder | undefined, void, undefined> {
  while (!signal.aborted) {
    // A new connection finds a replica 0 that came back at once.
    const client = createServiceClient(ReplicaServiceService, address, { credentials });
    try {
      for await (const { order } of client.followRuns({ rank, worldSize }, { signal })) yield order;
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ address }, `replica 0 does not say what to train: ${messageOf(error)}`);
    } finally {
      client.close();
    }
    await setTimeout(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
  }
}
