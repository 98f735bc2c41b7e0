import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { CallOptions } from './call-options.ts';
import { type ClientOptions, createServiceClient } from './client.ts';

/** A health answer that takes longer is none. */
const HEALTH_TIMEOUT_MS = 2_000;

/** `grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING`, and the field it is in. */
const SERVING = 1;
const STATUS_FIELD = 1;

/** grpc.health.v1 is not one of our contracts; of its messages no more is needed than an empty request and one number. */
const HealthDefinition = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: (_request: Record<string, never>): Buffer => Buffer.alloc(0),
    requestDeserialize: (_bytes: Buffer): Record<string, never> => ({}),
    responseSerialize: (_response: { serving: boolean }): Buffer => Buffer.alloc(0),
    responseDeserialize: (bytes: Buffer): { serving: boolean } => ({
      serving: readStatus(bytes) === SERVING,
    }),
  },
} as const;

export interface HealthClient {
  /** Whether the whole server says that it serves. @throws UnavailableError or DeadlineExceededError when it does not answer. */
  isServing(options?: CallOptions): Promise<boolean>;
  close(): void;
}

export function createHealthClient(
  address: string,
  options: Omit<ClientOptions, 'safeMethods' | 'methodTimeoutsMs'> = {},
): HealthClient {
  const client = createServiceClient(HealthDefinition, address, { timeoutMs: HEALTH_TIMEOUT_MS, ...options });
  return {
    isServing: async (callOptions) => (await client.check({}, callOptions)).serving,
    close: () => client.close(),
  };
}

function readStatus(bytes: Buffer): number {
  const reader = new BinaryReader(bytes);
  let status = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === STATUS_FIELD) status = reader.int32();
    else reader.skip(wireType);
  }
  return status;
}
