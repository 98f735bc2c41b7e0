import { Client, credentials } from '@grpc/grpc-js';
import { HEALTH_SERVICE } from '@online-cnclip/service-kit';

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING'] as const;
const bytes = (value: Buffer): Buffer => value;

/** grpc.health.v1 of the whole server. The messages are so small that their bytes are written out here. */
export async function checkHealth(address: string): Promise<(typeof STATUSES)[number] | undefined> {
  const client = new Client(address, credentials.createInsecure());
  try {
    const response = await new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(`/${HEALTH_SERVICE}/Check`, bytes, bytes, Buffer.alloc(0), (error, value) =>
        error ? reject(error) : resolve(value as Buffer),
      );
    });
    // Field 1, an enum: tag 0x08 and its value; left out when 0.
    return STATUSES[response[1] ?? 0];
  } finally {
    client.close();
  }
}
