import { InvalidInputError } from '@online-cnclip/foundation';
import type { z } from 'zod';

/** @throws InvalidInputError naming the field. */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InvalidInputError(issue?.message ?? 'is not valid', { place: issue?.path.join('.') || 'body' });
}
