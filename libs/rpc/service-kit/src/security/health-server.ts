import { Server } from '@grpc/grpc-js';
import type { Health } from '../health.ts';
import { bindPlaintext } from './bind.ts';

/** A request to grpc.health.v1 is a service's name. */
const MAX_MESSAGE_BYTES = 1_024;
const MAX_STREAMS = 16;

export interface HealthServer {
  readonly address: string;
  close(): void;
}

/**
 * grpc.health.v1 in plain text and nothing else, for probes that have no certificate (Kubernetes' have none). It says whether the
 * service serves, and changes nothing.
 *
 * @throws UnavailableError when the address cannot be bound.
 */
export async function startHealthServer(address: string, health: Health): Promise<HealthServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': MAX_STREAMS,
  });
  health.addTo(server, []);
  const bound = await bindPlaintext(server, address);
  return { address: bound, close: () => server.forceShutdown() };
}
