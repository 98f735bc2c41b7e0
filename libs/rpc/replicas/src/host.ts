import type { ClientSecurity } from '@online-cnclip/client';
import type { Logger } from '@online-cnclip/foundation';
import { createService, openProcessSecurity, requireLoopback, Telemetry } from '@online-cnclip/service-kit';
import { Coordinator } from './coordination/coordinator.ts';
import { replicaService } from './handlers.ts';

/** After the end of a run the others take a moment to hear of it. */
const DRAIN_TIMEOUT_MS = 2_000;

export interface HostedRendezvous {
  /** `host:port`, with the port that was taken. */
  readonly address: string;
  close(): Promise<void>;
}

/** How the rendezvous is protected. */
export interface HostSecurity {
  /** Plain text without. */
  readonly files: ClientSecurity['files'];
  /** Whether plain text may be on another address than loopback. */
  readonly allowPlaintext: boolean;
}

/**
 * Serves the rendezvous from this process: replica 0 of a run that no trainer service holds together.
 *
 * @throws UnavailableError when the address cannot be bound; InvalidInputError when plain text would be open to other machines.
 */
export async function hostRendezvous(
  address: string,
  logger: Logger,
  { files, allowPlaintext }: HostSecurity = { files: undefined, allowPlaintext: false },
): Promise<HostedRendezvous> {
  if (files === undefined) requireLoopback(address, allowPlaintext);
  const telemetry = new Telemetry('replicas');
  const security = await openProcessSecurity({ files }, logger, telemetry);
  const service = createService({
    name: 'replicas',
    implementations: [replicaService(new Coordinator())],
    logger,
    telemetry,
    security,
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
  });
  const bound = await service.listen(address);
  service.health.setServing(true);
  return { address: bound, close: () => service.close().finally(() => security.close()) };
}
