import { InvalidInputError, UnavailableError } from '@online-cnclip/foundation';

/**
 * What the replicas of one training run do together. Every replica makes the same calls in the same order; a call's
 * promise is fulfilled when this replica has its result. The arrays belong to the call until then.
 *
 * A failure, a time-out and {@link close} break the group for good: the calls that wait and all later ones reject.
 *
 * @throws LostReplicaError when another replica is gone; DeadlineExceededError when one does not take part in time;
 *   InvalidInputError for arguments that do not fit; FailedPreconditionError once the group is closed.
 */
export interface Collectives {
  /** Of this replica, from 0. */
  readonly rank: number;
  readonly worldSize: number;
  /** Replaces the buffer, `[n]` on every replica, by the sum over replicas: bit for bit the same on each. */
  allReduceSum(buffer: Float32Array): Promise<void>;
  /** @param input `[n]` on every replica  @param output `[worldSize, n]`: the inputs in the order of ranks */
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
  /** Replaces the array, of the same size on every replica, by the root's. */
  broadcast(array: Float32Array | Uint8Array, root: number): Promise<void>;
  /** Fulfilled when every replica has called it. */
  barrier(): Promise<void>;
  /** Rejects what waits; may be called twice. The other replicas' calls then reject too. */
  close(): Promise<void>;
}

/** Another replica of the group is gone: regroup. */
export class LostReplicaError extends UnavailableError {
  /** The replica to which the connection broke; absent where only the group as a whole is known to be broken. */
  readonly rank: number | undefined;

  constructor(rank: number | undefined, reason: string, cause?: unknown) {
    super(`${rank === undefined ? 'a replica' : `replica ${rank}`} is lost: ${reason}`, { cause });
    this.rank = rank;
  }
}

/** @throws InvalidInputError when a rank is none of this world's. */
export function checkRank(rank: number, worldSize: number, place: string): void {
  if (!Number.isInteger(worldSize) || worldSize < 1)
    throw new InvalidInputError(`${worldSize} is not a number of replicas`, { place: 'world-size' });
  if (!Number.isInteger(rank) || rank < 0 || rank >= worldSize)
    throw new InvalidInputError(`${rank} is not a rank of a group of ${worldSize}`, { place });
}

/** @throws InvalidInputError when the arrays of an all-gather do not fit. */
export function checkGather(input: Float32Array, output: Float32Array, worldSize: number): void {
  checkFloats(input, 'input');
  checkFloats(output, 'output');
  if (output.length !== input.length * worldSize)
    throw new InvalidInputError(
      `has ${output.length} elements, ${worldSize} times ${input.length} are gathered`,
      { place: 'output' },
    );
}

export function checkFloats(array: unknown, place: string): asserts array is Float32Array {
  if (!(array instanceof Float32Array)) throw new InvalidInputError('is not a Float32Array', { place });
}

export function checkBroadcast(array: unknown, root: number, worldSize: number): void {
  if (!(array instanceof Float32Array || array instanceof Uint8Array))
    throw new InvalidInputError('is neither a Float32Array nor a Uint8Array', { place: 'array' });
  checkRank(root, worldSize, 'root');
}
