import { missingGloo } from '@online-cnclip/collectives';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';

/** This trainer among those that train each run together. */
export interface ReplicaPlace {
  readonly rank: number;
  readonly worldSize: number;
  /** `host:port` of replica 0's trainer. */
  readonly address: string;
  readonly gatherTimeoutMs: number;
  readonly collectiveTimeoutMs: number;
}

export interface PlaceSettings {
  readonly rank: number;
  readonly worldSize: number;
  readonly masterAddress: string;
  readonly masterPort: number;
  readonly gatherTimeout: number;
  readonly collectiveTimeout: number;
}

/**
 * @returns absent where there is one replica.
 * @throws InvalidInputError for a rank that is none; FailedPreconditionError where Gloo is missing.
 */
export function replicaPlace(settings: PlaceSettings): ReplicaPlace | undefined {
  const { rank, worldSize, masterAddress, masterPort, gatherTimeout, collectiveTimeout } = settings;
  if (rank >= worldSize)
    throw new InvalidInputError(`${rank} is not a rank of ${worldSize} replicas`, { place: 'rank' });
  if (worldSize === 1) return undefined;
  const missing = missingGloo();
  if (missing !== undefined) throw new FailedPreconditionError(missing);
  return {
    rank,
    worldSize,
    address: `${masterAddress.includes(':') ? `[${masterAddress}]` : masterAddress}:${masterPort}`,
    gatherTimeoutMs: gatherTimeout * 1000,
    collectiveTimeoutMs: collectiveTimeout * 1000,
  };
}
