import { DataLossError } from '@online-cnclip/foundation';
import type { Attributes, AttributeValue } from './items.ts';

/**
 * Attributes as a JSON object whose keys begin with the value's kind: a comparison in Milvus can then never meet a value of
 * another kind, which its servers treat differently.
 */
export function encodeAttributes(attributes: Attributes): string {
  const entries = Object.entries(attributes).map(
    ([name, value]) => `${JSON.stringify(keyOf(name, value))}:${literalOf(value)}`,
  );
  return `{${entries.join(',')}}`;
}

/** @throws DataLossError when it is not what {@link encodeAttributes} writes. */
export function decodeAttributes(json: string, place: string): Attributes {
  // The source keeps the digits of an integer that a double cannot hold.
  const parsed: unknown = JSON.parse(json, (key: string, value: unknown, context?: { source?: string }) =>
    key.startsWith(KEYS.integer) && context?.source !== undefined ? BigInt(context.source) : value,
  );
  if (typeof parsed !== 'object' || parsed === null)
    throw new DataLossError(`${json.slice(0, 100)} holds no attributes`, { place });
  return Object.fromEntries(
    Object.entries(parsed).map(([key, value]) => [key.slice(KEY_LENGTH), value as AttributeValue]),
  );
}

const KEYS = { text: 's_', integer: 'i_', float: 'f_', truth: 'b_' } as const;
const KEY_LENGTH = 2;

export type AttributeKind = keyof typeof KEYS;

/** The key of an attribute when it holds a value of a kind. */
export const attributeKey = (name: string, kind: AttributeKind): string => KEYS[kind] + name;

export function kindOf(value: AttributeValue): AttributeKind {
  if (typeof value === 'string') return 'text';
  if (typeof value === 'bigint') return 'integer';
  return typeof value === 'number' ? 'float' : 'truth';
}

const keyOf = (name: string, value: AttributeValue): string => attributeKey(name, kindOf(value));

const literalOf = (value: AttributeValue): string =>
  typeof value === 'number'
    ? floatLiteral(value)
    : typeof value === 'bigint'
      ? `${value}`
      : JSON.stringify(value);

/** Always with a point or an exponent: without, it would be read as an integer. */
export function floatLiteral(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
