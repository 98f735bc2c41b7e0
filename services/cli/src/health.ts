import type { MethodShape } from '@online-cnclip/contracts';

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
type Status = (typeof STATUSES)[number];
/** Field 1 of HealthCheckResponse, an enum: its tag and type in one byte. */
const STATUS_TAG = 0x08;

/** Check of grpc.health.v1 for the server as a whole. The messages are so small that their bytes are written out here. */
export const HEALTH_DEFINITION = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: (_: undefined) => Buffer.alloc(0),
    requestDeserialize: (): undefined => undefined,
    responseSerialize: (status: Status) => Buffer.of(STATUS_TAG, STATUSES.indexOf(status)),
    // A field of value 0 is left out.
    responseDeserialize: (bytes: Buffer): Status =>
      STATUSES[bytes[0] === STATUS_TAG ? (bytes[1] ?? 0) : 0] ?? 'UNKNOWN',
  },
} as const satisfies Record<string, MethodShape>;
