import type { Logger } from '@online-cnclip/foundation';
import { createService } from '@online-cnclip/service-kit';
import { Coordinator } from './coordination/coordinator.ts';
import { replicaService } from './handlers.ts';

/** After the end of a run the others take a moment to hear of it. */
const DRAIN_TIMEOUT_MS = 2_000;

export interface HostedRendezvous {
  /** `host:port`, with the port that was taken. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves the rendezvous from this process: replica 0 of a run that no trainer service holds together.
 *
 * @throws UnavailableError when the address cannot be bound.
 */
export async function hostRendezvous(address: string, logger: Logger): Promise<HostedRendezvous> {
  const service = createService({
    name: 'replicas',
    implementations: [replicaService(new Coordinator())],
    logger,
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
  });
  const bound = await service.listen(address);
  service.health.setServing(true);
  return { address: bound, close: () => service.close() };
}
