import { connectGroup, missingGloo } from '@online-cnclip/collectives';
import { createLogger, FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { hostRendezvous, Rendezvous } from '@online-cnclip/replicas';
import type { ReplicaPorts } from '@online-cnclip/training';
import { z } from 'zod';
import type { CliContext } from './context.ts';

/** How long replicas wait for each other to come: a new machine may have to fetch an image and load gigabytes. */
const GATHER_TIMEOUT_S = 600;
/** How long a collective waits for a replica that computes: several times the slowest step and the longest validation. */
const COLLECTIVE_TIMEOUT_S = 600;

/** Replicas of different runs have different rendezvous: one name serves all, and a wrong experiment is noticed. */
const RUN = 'train';

const seconds = (initial: number) => z.coerce.number().positive().max(86_400).default(initial);

/** torchrun's variables, and two of ours. */
const replicaVariables = z.object({
  RANK: z.coerce.number().int().min(0),
  WORLD_SIZE: z.coerce.number().int().min(1).max(4096),
  MASTER_ADDR: z.string().min(1),
  MASTER_PORT: z.coerce.number().int().min(1).max(65_535),
  CNCLIP_GATHER_TIMEOUT: seconds(GATHER_TIMEOUT_S),
  CNCLIP_COLLECTIVE_TIMEOUT: seconds(COLLECTIVE_TIMEOUT_S),
});

export interface ReplicaEnvironment {
  readonly rank: number;
  readonly worldSize: number;
  /** `host:port` of replica 0's rendezvous. */
  readonly address: string;
  readonly gatherTimeoutMs: number;
  readonly collectiveTimeoutMs: number;
}

/**
 * This process among the replicas of a run; absent where no variable says that there are several.
 *
 * @throws InvalidInputError naming the variable that is missing or wrong.
 */
export function replicaEnvironmentOf(
  environment: Readonly<Record<string, string | undefined>>,
): ReplicaEnvironment | undefined {
  if ((environment['WORLD_SIZE'] ?? '1') === '1' && (environment['RANK'] ?? '0') === '0') return undefined;
  const parsed = replicaVariables.safeParse(environment);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const name = String(issue?.path[0]);
    throw new InvalidInputError(
      `${JSON.stringify(environment[name])} is not valid for one of several replicas: ${issue?.message}`,
      { place: name },
    );
  }
  const { RANK: rank, WORLD_SIZE: worldSize, MASTER_ADDR, MASTER_PORT, ...timeouts } = parsed.data;
  if (rank >= worldSize)
    throw new InvalidInputError(`${rank} is not a rank of ${worldSize} replicas`, { place: 'RANK' });
  return {
    rank,
    worldSize,
    address: `${MASTER_ADDR.includes(':') ? `[${MASTER_ADDR}]` : MASTER_ADDR}:${MASTER_PORT}`,
    gatherTimeoutMs: timeouts.CNCLIP_GATHER_TIMEOUT * 1000,
    collectiveTimeoutMs: timeouts.CNCLIP_COLLECTIVE_TIMEOUT * 1000,
  };
}

export interface OpenedReplicas {
  readonly ports: ReplicaPorts;
  close(): Promise<void>;
}

/**
 * What a training needs to be one of several; replica 0 serves the rendezvous.
 *
 * @throws FailedPreconditionError where Gloo is missing; UnavailableError when the rendezvous cannot be served.
 */
export async function openReplicas(context: CliContext): Promise<OpenedReplicas | undefined> {
  const environment = context.replica();
  if (!environment) return undefined;
  const { rank, worldSize, address, gatherTimeoutMs, collectiveTimeoutMs } = environment;
  const missing = missingGloo();
  if (worldSize > 1 && missing !== undefined) throw new FailedPreconditionError(missing);
  const { files, credentials } = await context.clientSecurity();
  const { allowPlaintext } = context;
  const hosted =
    rank === 0
      ? await hostRendezvous(address, createLogger('replicas', 'error'), { files, allowPlaintext })
      : undefined;
  const rendezvous = new Rendezvous({
    address,
    run: RUN,
    rank,
    worldSize,
    timeoutMs: gatherTimeoutMs,
    credentials,
    onAwaited: (ranks) => context.progress.note(`waiting for replicas ${ranks.join(', ')} of ${worldSize}`),
  });
  return {
    ports: { rendezvous, connect: connectGroup, timeoutMs: collectiveTimeoutMs },
    async close() {
      await rendezvous.close();
      await hosted?.close();
    },
  };
}
