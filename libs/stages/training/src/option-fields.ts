import { InvalidInputError } from '@online-cnclip/foundation';
import { z } from 'zod';

// Fields of options: typed values, or the texts that a command line or a map of options gives. "None" is "not set", as in
// the research code.

/** Counts stay where step * batch size is an exact integer. */
export const MAX_COUNT = 2 ** 31 - 1;
const TRUTH_TEXTS = new Map([
  ['true', true],
  ['false', false],
]);

export const none = (value: unknown) =>
  value === '' || (typeof value === 'string' && value.toLowerCase() === 'none') ? null : value;
export const numeric = (value: unknown) => {
  const given = none(value);
  return typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
};
const truth = (value: unknown) =>
  typeof value === 'string' ? (TRUTH_TEXTS.get(value.toLowerCase()) ?? value) : value;

export const flag = () => z.preprocess(truth, z.boolean('must be true or false').default(false));
export const count = (initial: number, least = 1) =>
  z.preprocess(numeric, z.int().min(least).max(MAX_COUNT).default(initial));
export const optionalCount = (initial: number | null) =>
  z.preprocess(numeric, z.int().min(1).max(MAX_COUNT).nullable().default(initial));
export const number = (schema: z.ZodNumber, initial: number) =>
  z.preprocess(numeric, schema.default(initial));
export const optionalNumber = (schema: z.ZodNumber) => z.preprocess(numeric, schema.nullable().default(null));
export const optionalText = () => z.preprocess(none, z.string().nullable().default(null));
export const frequency = (initial: number) =>
  z.preprocess(
    (value) => (none(value) === null ? -1 : numeric(value)),
    z.int().min(-1).max(MAX_COUNT).default(initial),
  );

export const kebabCase = (name: string): string =>
  name.replace(/_/g, '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const camelCase = (name: string): string =>
  name.replace(/[-_]+([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());

/**
 * Validates options given by names in kebab-case, snake_case or camelCase.
 *
 * @param what names the kind of option in an error, for example "training option".
 * @throws InvalidInputError naming the option as on the command line, and the value.
 */
export function parseOptions<S extends z.ZodRawShape>(
  schemas: S,
  given: Readonly<Record<string, unknown>>,
  what: string,
): z.output<z.ZodObject<S>> {
  const input: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const key = camelCase(name);
    if (!(key in schemas)) throw new InvalidInputError(`unknown ${what}`, { place: kebabCase(name) });
    input[key] = value;
  }
  const parsed = z.strictObject(schemas).safeParse(input);
  if (parsed.success) return parsed.data as z.output<z.ZodObject<S>>;
  const [issue] = parsed.error.issues;
  const key = String(issue?.path[0]);
  const value = key in input ? `${JSON.stringify(input[key])} is not valid: ` : '';
  throw new InvalidInputError(`${value}${issue?.message}`, { place: kebabCase(key) });
}
