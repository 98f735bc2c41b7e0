import type {
  AttributeValue as AttributeMessage,
  Condition as ConditionMessage,
  Range,
} from '@online-cnclip/contracts/ranker/v1';
import { InvalidInputError } from '@online-cnclip/foundation';
import {
  type Attributes,
  type AttributeValue,
  type Bound,
  type Condition,
  compileFilter,
  type Filter,
} from '@online-cnclip/retrieval';

/** @throws InvalidInputError naming the attribute that has no value. */
export function fromAttributes(
  attributes: Readonly<Record<string, AttributeMessage>>,
  place: string,
): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      fromAttributeValue(value, `${place}.attributes[${name}]`),
    ]),
  );
}

export const toAttributes = (attributes: Attributes): Record<string, AttributeMessage> =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, toAttributeValue(value)]));

/** @returns undefined when there is no condition. @throws InvalidInputError naming the condition that is no good. */
export function fromFilter(conditions: readonly ConditionMessage[]): Filter | undefined {
  if (conditions.length === 0) return undefined;
  return compileFilter(
    conditions.map((condition, i) => fromCondition(condition, `filter[${i}]`)),
    'filter',
  );
}

function fromCondition({ attribute, test }: ConditionMessage, place: string): Condition {
  switch (test?.$case) {
    case 'equals':
      return { kind: 'one-of', attribute, values: [fromAttributeValue(test.value, place)] };
    case 'oneOf': {
      const values = test.value.values.map((value, i) => fromAttributeValue(value, `${place}.one_of[${i}]`));
      return { kind: 'one-of', attribute, values };
    }
    case 'range':
      return { kind: 'range', attribute, ...fromRange(test.value, place) };
    default:
      throw new InvalidInputError('has no test', { place });
  }
}

function fromRange({ lower, upper }: Range, place: string): { lower?: Bound; upper?: Bound } {
  const bound = (value: AttributeMessage, inclusive: boolean): Bound => ({
    value: fromNumber(value, place),
    inclusive,
  });
  return {
    ...(lower && { lower: bound(lower.value, lower.$case === 'atLeast') }),
    ...(upper && { upper: bound(upper.value, upper.$case === 'atMost') }),
  };
}

function fromNumber(message: AttributeMessage, place: string): number | bigint {
  const value = fromAttributeValue(message, place);
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  throw new InvalidInputError('a bound has to be a number', { place });
}

function fromAttributeValue({ value }: AttributeMessage, place: string): AttributeValue {
  if (value === undefined) throw new InvalidInputError('has no value', { place });
  return value.value;
}

function toAttributeValue(value: AttributeValue): AttributeMessage {
  switch (typeof value) {
    case 'string':
      return { value: { $case: 'stringValue', value } };
    case 'bigint':
      return { value: { $case: 'intValue', value } };
    case 'number':
      return { value: { $case: 'doubleValue', value } };
    case 'boolean':
      return { value: { $case: 'boolValue', value } };
  }
}
