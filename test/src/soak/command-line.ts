import { parseArgs } from 'node:util';
import { flagOf, InvalidInputError } from '@online-cnclip/foundation';
import type { Bounds, Soak } from './soak.ts';

export interface SoakCommand {
  readonly bounds: Bounds;
  readonly seed?: number;
}

/**
 * `[--minutes N] [--long] [--seed N] [--BOUND N ...]`: the default bounds; the long ones with --long or --minutes; each
 * bound by its own flag.
 *
 * @throws InvalidInputError for a flag that the soak has no bound for, or a value that is no positive number.
 */
export function parseSoakCommand({ name, bounds }: Soak, args: readonly string[]): SoakCommand {
  const names = Object.keys(bounds.default);
  const values = parseFlags(name, names, args);
  const chosen = values['long'] || values['minutes'] !== undefined ? bounds.long : bounds.default;
  const given = names.flatMap((bound) => {
    const value = values[flagOf(bound).slice(2)];
    return typeof value === 'string' ? [[bound, positive(value, flagOf(bound))] as const] : [];
  });
  return {
    bounds: { ...chosen, ...Object.fromEntries(given) },
    ...(typeof values['seed'] === 'string' && { seed: positive(values['seed'], '--seed') }),
  };
}

function parseFlags(
  name: string,
  bounds: readonly string[],
  args: readonly string[],
): Readonly<Record<string, string | boolean | undefined>> {
  const numbers = [...bounds.map((bound) => flagOf(bound).slice(2)), 'seed'];
  const options = Object.fromEntries(numbers.map((flag) => [flag, { type: 'string' as const }]));
  try {
    return parseArgs({ args: [...args], options: { ...options, long: { type: 'boolean' } } }).values;
  } catch (cause) {
    const known = ['long', ...numbers].map((flag) => `--${flag}`).join(' ');
    throw new InvalidInputError(`${(cause as Error).message}; known: ${known}`, { place: name, cause });
  }
}

function positive(text: string, place: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidInputError(`${text} is not a number above 0`, { place });
  return value;
}
