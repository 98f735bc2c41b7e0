import { attributeKey, floatLiteral, type kindOf } from './attributes-json.ts';
import type { AttributeValue, Bound, Condition } from './items.ts';

export const ID_FIELD = 'id';
export const VECTOR_FIELD = 'vector';
export const ATTRIBUTES_FIELD = 'attributes';

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/** What no item passes. */
const NEVER = `${ID_FIELD} in []`;

/** Conditions as an expression of Milvus. Nothing of a value is left to be read as anything but that value. */
export function filterExpression(conditions: readonly Condition[]): string {
  return conditions.map((condition) => `(${conditionExpression(condition)})`).join(' and ');
}

/** Items of these ids. */
export function idsExpression(ids: Iterable<bigint>): string {
  const all = [...ids];
  const list = `${ID_FIELD} in [${all.filter((id) => id !== MIN_INT64).join(',')}]`;
  // The lowest integer is no literal: its digits without the sign are too large.
  return all.includes(MIN_INT64) ? `${list} or ${ID_FIELD} < ${MIN_INT64 + 1n}` : list;
}

function conditionExpression(condition: Condition): string {
  const alternatives =
    condition.kind === 'one-of'
      ? condition.values.flatMap((value) => equalities(condition.attribute, value))
      : ranges(condition.attribute, condition.lower, condition.upper);
  return alternatives.length === 0 ? NEVER : alternatives.map((text) => `(${text})`).join(' or ');
}

/** 1 and 1.0 are equal, so that a number is looked for as both kinds where it is both. */
function equalities(attribute: string, value: AttributeValue): string[] {
  if (typeof value === 'string') return [`${path(attribute, 'text')} == ${textLiteral(value)}`];
  if (typeof value === 'boolean') return [`${path(attribute, 'truth')} == ${value}`];
  const exactly = { value, inclusive: true };
  return ranges(attribute, exactly, exactly);
}

/** Both kinds of number between bounds, each compared with literals of its own kind. */
function ranges(attribute: string, lower: Bound | undefined, upper: Bound | undefined): string[] {
  return [integerRange(attribute, lower, upper), floatRange(attribute, lower, upper)].filter(
    (text) => text !== undefined,
  );
}

function integerRange(
  attribute: string,
  lower: Bound | undefined,
  upper: Bound | undefined,
): string | undefined {
  const from = lower ? lowestInteger(lower) : MIN_INT64;
  const to = upper ? highestInteger(upper) : MAX_INT64;
  if (from > to || from > MAX_INT64 || to < MIN_INT64) return undefined;
  const operand = path(attribute, 'integer');
  if (from === to && from !== MIN_INT64) return `${operand} == ${from}`;
  const bounds = [
    // Compared with something even where anything passes: an item without the attribute does not.
    from > MIN_INT64 ? `${operand} >= ${from}` : `${operand} < 0 or ${operand} >= 0`,
    // Not "at most", which would need the lowest integer as a literal.
    to < MAX_INT64 ? `${operand} < ${to + 1n}` : undefined,
  ];
  return joined(bounds);
}

function lowestInteger({ value, inclusive }: Bound): bigint {
  if (typeof value === 'bigint') return inclusive ? value : value + 1n;
  const rounded = BigInt(Math.ceil(value));
  return Number.isInteger(value) && !inclusive ? rounded + 1n : rounded;
}

function highestInteger({ value, inclusive }: Bound): bigint {
  if (typeof value === 'bigint') return inclusive ? value : value - 1n;
  const rounded = BigInt(Math.floor(value));
  return Number.isInteger(value) && !inclusive ? rounded - 1n : rounded;
}

function floatRange(
  attribute: string,
  lower: Bound | undefined,
  upper: Bound | undefined,
): string | undefined {
  const operand = path(attribute, 'float');
  return joined([
    lower && `${operand} ${floatComparison(lower, '>')}`,
    upper && `${operand} ${floatComparison(upper, '<')}`,
  ]);
}

/** An integer bound that no double equals lies between two of them: of the nearest it is known on which side. */
function floatComparison({ value, inclusive }: Bound, operator: '<' | '>'): string {
  const nearest = Number(value);
  const within = operator === '>' ? nearest > value : nearest < value;
  const equal = !(nearest > value || nearest < value);
  return `${operator}${within || (equal && inclusive) ? '=' : ''} ${floatLiteral(nearest)}`;
}

const joined = (parts: readonly (string | undefined)[]): string | undefined => {
  const given = parts.filter((part) => part !== undefined);
  return given.length === 0 ? undefined : given.map((part) => `(${part})`).join(' and ');
};

const path = (attribute: string, kind: ReturnType<typeof kindOf>): string =>
  `${ATTRIBUTES_FIELD}[${textLiteral(attributeKey(attribute, kind))}]`;

const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

/** A text in quotes; the characters that could end it or begin an escape are escaped, all others stand for themselves. */
function textLiteral(text: string): string {
  return `"${text.replace(/["\\\n\r]/g, (character) => ESCAPES[character] as string)}"`;
}
