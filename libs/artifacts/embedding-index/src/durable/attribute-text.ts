import { z } from 'zod';
import type { Attributes, AttributeValue } from '../port.ts';

/** An integer is written as {"int": "12"}: JSON would make it a float. */
const writtenSchema = z.array(
  z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.strictObject({ int: z.string().regex(/^-?\d{1,19}$/) })]),
  ),
);
type WrittenValue = z.output<typeof writtenSchema>[number][string];

/** The attributes of a batch as JSON. */
export function stringifyAttributes(batch: readonly Attributes[]): string {
  return JSON.stringify(batch, (_, value: unknown) =>
    typeof value === 'bigint' ? { int: `${value}` } : value,
  );
}

/** @throws when the text is not the attributes of so many items. */
export function parseAttributes(text: string, count: number): Attributes[] {
  const written = writtenSchema.parse(JSON.parse(text));
  if (written.length !== count) throw new RangeError(`attributes of ${written.length} items for ${count}`);
  return written.map((one) =>
    Object.fromEntries(Object.entries(one).map(([name, value]) => [name, readValue(value)])),
  );
}

const readValue = (value: WrittenValue): AttributeValue =>
  typeof value === 'object' ? BigInt(value.int) : value;
