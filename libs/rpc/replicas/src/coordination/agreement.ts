import { type ApplicationError, FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import type { Joining } from './events.ts';

/** Longer texts than this are cut in messages. */
const MAX_SHOWN = 120;
const shown = (value: string | undefined): string =>
  value === undefined
    ? 'nothing'
    : value.length > MAX_SHOWN
      ? `${value.slice(0, MAX_SHOWN)}…`
      : JSON.stringify(value);

/** As many as a trainer can be configured with. Who is awaited is listed, so a number that is none must not get that far. */
const MAX_WORLD_SIZE = 4_096;

/** @throws InvalidInputError for a rank or world size that is none. */
export function checkJoining({ run, rank, worldSize }: Joining): void {
  if (run === '') throw new InvalidInputError('is empty', { place: 'run' });
  if (worldSize < 1 || worldSize > MAX_WORLD_SIZE)
    throw new InvalidInputError(`${worldSize} is no number of replicas`, { place: 'world_size' });
  if (rank < 0 || rank >= worldSize)
    throw new InvalidInputError(`${rank} is not a rank of ${worldSize} replicas`, { place: 'rank' });
}

/** Why two replicas cannot train one model; absent when they can. */
export function disagreement(a: Joining, b: Joining): ApplicationError | undefined {
  const [first, second] = a.rank <= b.rank ? [a, b] : [b, a];
  const who = `replica ${second.rank} (${second.host}) and replica ${first.rank} (${first.host})`;
  if (first.worldSize !== second.worldSize)
    return new FailedPreconditionError(
      `${who} are told of different numbers of replicas: ${second.worldSize} and ${first.worldSize}`,
    );
  const names = new Set([...Object.keys(first.fingerprint), ...Object.keys(second.fingerprint)]);
  const differences = [...names]
    .filter((name) => first.fingerprint[name] !== second.fingerprint[name])
    .map((name) => `${name} ${shown(second.fingerprint[name])} and ${shown(first.fingerprint[name])}`);
  if (differences.length > 0)
    return new FailedPreconditionError(`${who} do not train the same: ${differences.join('; ')}`);
  if (first.step === second.step && first.parameters !== second.parameters)
    return new FailedPreconditionError(`${who} have different parameters at step ${first.step}`);
  return undefined;
}
