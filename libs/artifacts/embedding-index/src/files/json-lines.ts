import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { openForReading } from './read-exactly.ts';

/** A line of a file, and where it is for an error. */
export interface Line {
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** `path:number`. */
  readonly place: string;
}

/**
 * Lines of a text file. A blank one counts: readers refuse it, as the Python ones do.
 *
 * @param name of the file in errors, where it is not its path.
 * @throws NotFoundError when there is none.
 */
export async function* linesOf(path: string, name = path): AsyncGenerator<Line, void, void> {
  const file = await openForReading(path, name);
  let number = 0;
  for await (const text of file.readLines({ encoding: 'utf8' })) {
    number++;
    yield { text, number, place: `${name}:${number}` };
  }
}

/** A line as a JSON object, large whole numbers exact. @throws InvalidInputError naming the line. */
export function parseObject(text: string, place: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseJsonWithLargeIntegers(text);
  } catch (cause) {
    throw new InvalidInputError(`is not JSON (${messageOf(cause)})`, { place, cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidInputError('is not a JSON object', { place });
  return value as Readonly<Record<string, unknown>>;
}

const MAX_SHOWN_LENGTH = 60;

/** A parsed value for an error's text, cut when it is long. */
export function show(value: unknown): string {
  const text =
    JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? 'missing';
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}

/** A reviver's third argument (ECMAScript: JSON.parse source text access), which TypeScript does not know yet. */
type SourceReviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/**
 * JSON.parse that keeps whole numbers beyond 2^53 exact, as bigint: ids have 64 bits. Every other number stays a number.
 *
 * @throws SyntaxError as JSON.parse.
 */
function parseJsonWithLargeIntegers(text: string): unknown {
  // Only a text with a whole part of 16 digits can hold such a number, and reviving is ten times slower.
  if (!/(?:^|[^.\d])\d{16}/.test(text)) return JSON.parse(text);
  const revive: SourceReviver = (_key, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? '')
      ? BigInt(source as string)
      : value;
  return JSON.parse(text, revive as (this: unknown, key: string, value: unknown) => unknown);
}

/** A parsed value as a 64-bit id; undefined when it is none (a fraction, a text, too large). */
export function int64Of(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === 'bigint' && BigInt.asIntN(64, value) === value ? value : undefined;
}
