import {
  type Attributes,
  type AttributeValue,
  type Condition,
  InvalidInputError,
} from '@online-cnclip/foundation';

export type { Attributes, AttributeValue, Bound, Condition } from '@online-cnclip/foundation';

/** A compiled filter: engines that hold attributes ask `matches`, those that hand it on translate the conditions. */
export interface Filter {
  /** All of them have to hold; at least one. */
  readonly conditions: readonly Condition[];
  matches(attributes: Attributes): boolean;
}

/** Attributes of one item: a handful of facts to filter by, not a document. */
export const MAX_ATTRIBUTES = 32;

/** UTF-16 code units of a text attribute: names and categories, which filters compare whole. */
export const MAX_ATTRIBUTE_LENGTH = 1_024;

/** Conditions of one filter, each of which may be asked of every item. */
export const MAX_CONDITIONS = 16;

/** Values of one condition, compared one by one. */
export const MAX_CONDITION_VALUES = 256;

/** What every engine's query language can name without quoting. */
const ATTRIBUTE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** Words that query languages keep for themselves, and names that objects do. */
const RESERVED = new Set(['id', 'vector', 'and', 'or', 'not', 'in', 'like', 'true', 'false', '__proto__']);

/** @throws InvalidInputError naming the attribute that is no good. */
export function requireAttributes(attributes: Attributes, place: string): Attributes {
  const entries = Object.entries(attributes);
  if (entries.length > MAX_ATTRIBUTES)
    throw new InvalidInputError(`${entries.length} attributes are more than ${MAX_ATTRIBUTES}`, { place });
  for (const [name, value] of entries) {
    requireAttributeName(name, place);
    requireAttributeValue(value, `${place}.attributes[${name}]`);
  }
  return attributes;
}

/** @throws InvalidInputError naming the condition that is no good. */
export function compileFilter(conditions: readonly Condition[], place = 'filter'): Filter {
  if (conditions.length === 0) throw new InvalidInputError('has no condition', { place });
  if (conditions.length > MAX_CONDITIONS)
    throw new InvalidInputError(`${conditions.length} conditions are more than ${MAX_CONDITIONS}`, { place });
  for (const [position, condition] of conditions.entries())
    requireCondition(condition, `${place}.conditions[${position}]`);
  return {
    conditions,
    matches: (attributes) => conditions.every((condition) => holds(condition, attributes)),
  };
}

function requireCondition(condition: Condition, place: string): void {
  requireAttributeName(condition.attribute, place);
  if (condition.kind === 'one-of') {
    const { values } = condition;
    if (values.length === 0) throw new InvalidInputError('has no value', { place });
    if (values.length > MAX_CONDITION_VALUES)
      throw new InvalidInputError(`${values.length} values are more than ${MAX_CONDITION_VALUES}`, { place });
    for (const value of values) requireAttributeValue(value, place);
    return;
  }
  const { lower, upper } = condition;
  if (!lower && !upper) throw new InvalidInputError('has neither a lower nor an upper bound', { place });
  for (const bound of [lower, upper]) if (bound) requireAttributeValue(bound.value, place);
}

function requireAttributeName(name: string, place: string): void {
  if (ATTRIBUTE_NAME.test(name) && !RESERVED.has(name.toLowerCase())) return;
  throw new InvalidInputError(
    `${JSON.stringify(name.slice(0, 100))} cannot name an attribute: 1 to 64 of a-z, A-Z, 0-9 and '_', not beginning with ` +
      `a digit, and none of ${[...RESERVED].join(', ')}`,
    { place },
  );
}

function requireAttributeValue(value: AttributeValue, place: string): void {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new InvalidInputError(`${value} is no finite number`, { place });
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)
    throw new InvalidInputError(`${value} does not fit 64 bits`, { place });
  if (typeof value === 'string' && value.length > MAX_ATTRIBUTE_LENGTH)
    throw new InvalidInputError(
      `a text of ${value.length} characters is longer than ${MAX_ATTRIBUTE_LENGTH}`,
      {
        place,
      },
    );
}

function holds(condition: Condition, attributes: Attributes): boolean {
  const value = Object.hasOwn(attributes, condition.attribute) ? attributes[condition.attribute] : undefined;
  if (value === undefined) return false;
  if (condition.kind === 'one-of') return condition.values.some((wanted) => equal(value, wanted));
  if (!isNumeric(value)) return false;
  const { lower, upper } = condition;
  if (lower && !(lower.inclusive ? value >= lower.value : value > lower.value)) return false;
  return !upper || (upper.inclusive ? value <= upper.value : value < upper.value);
}

/** JavaScript compares an integer with a float by their exact values. */
function equal(a: AttributeValue, b: AttributeValue): boolean {
  return isNumeric(a) && isNumeric(b) ? a >= b && a <= b : a === b;
}

const isNumeric = (value: AttributeValue): value is bigint | number =>
  typeof value === 'bigint' || typeof value === 'number';
