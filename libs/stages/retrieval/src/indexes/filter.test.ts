import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import {
  type Attributes,
  type Condition,
  compileFilter,
  MAX_ATTRIBUTE_LENGTH,
  MAX_ATTRIBUTES,
  MAX_CONDITION_VALUES,
  MAX_CONDITIONS,
  requireAttributes,
} from './filter.ts';

const oneOf = (attribute: string, ...values: Attributes[string][]): Condition => ({
  kind: 'one-of',
  attribute,
  values,
});
const shirt: Attributes = { category: '衬衫', price: 129n, rating: 4.5, in_stock: true };

test('a filter holds when every condition does', () => {
  const matches = (...conditions: Condition[]) => compileFilter(conditions).matches(shirt);
  assert.equal(matches(oneOf('category', '裤子', '衬衫')), true);
  assert.equal(matches(oneOf('category', '裤子')), false);
  assert.equal(matches(oneOf('in_stock', true), oneOf('price', 129)), true);
  assert.equal(matches(oneOf('in_stock', true), oneOf('price', 130n)), false);
  assert.equal(matches(oneOf('price', '129')), false);
  assert.equal(matches(oneOf('in_stock', 1n)), false);
  assert.equal(matches(oneOf('colour', '红')), false);
  assert.equal(matches(oneOf('toString', 'x')), false);
});

test('bounds count or not as they say', () => {
  const price = (bounds: { lower?: [number | bigint, boolean]; upper?: [number | bigint, boolean] }) =>
    compileFilter([
      {
        kind: 'range',
        attribute: 'price',
        ...(bounds.lower && { lower: { value: bounds.lower[0], inclusive: bounds.lower[1] } }),
        ...(bounds.upper && { upper: { value: bounds.upper[0], inclusive: bounds.upper[1] } }),
      },
    ]).matches(shirt);
  assert.equal(price({ lower: [129n, true], upper: [129n, true] }), true);
  assert.equal(price({ lower: [129, false] }), false);
  assert.equal(price({ upper: [129, false] }), false);
  assert.equal(price({ lower: [128.5, false], upper: [129.5, false] }), true);
  assert.equal(
    compileFilter([{ kind: 'range', attribute: 'category', lower: { value: 0, inclusive: true } }]).matches(
      shirt,
    ),
    false,
  );
});

test('an integer beyond 2^53 is not rounded', () => {
  const item = { serial: 9_007_199_254_740_993n };
  assert.equal(compileFilter([oneOf('serial', 9_007_199_254_740_993n)]).matches(item), true);
  assert.equal(compileFilter([oneOf('serial', 9_007_199_254_740_992)]).matches(item), false);
});

test('what cannot be filtered by is refused by name', () => {
  const refused = (attributes: Attributes, text: RegExp) =>
    assert.throws(
      () => requireAttributes(attributes, 'item 1'),
      (error) => {
        assert.ok(error instanceof InvalidInputError);
        assert.match(error.message, text);
        return true;
      },
    );
  assert.equal(requireAttributes(shirt, 'item 1'), shirt);
  refused({ 价格: 1n }, /^item 1: "价格" cannot name an attribute/);
  refused({ 'a b': 1n }, /"a b"/);
  refused({ id: 1n }, /"id"/);
  refused({ price: Number.NaN }, /^item 1.attributes\[price\]: NaN is no finite number/);
  refused({ price: 2n ** 63n }, /does not fit 64 bits/);
  refused({ name: 'x'.repeat(MAX_ATTRIBUTE_LENGTH + 1) }, /1025 characters/);
  refused(
    Object.fromEntries(Array.from({ length: MAX_ATTRIBUTES + 1 }, (_, i) => [`a${i}`, true])),
    /33 attributes are more than 32/,
  );
  const compile = (...conditions: Condition[]) => compileFilter(conditions);
  assert.throws(() => compile(), /filter: has no condition/);
  assert.throws(() => compile(oneOf('a')), /filter.conditions\[0\]: has no value/);
  assert.throws(
    () => compile(oneOf('a', 1n), { kind: 'range', attribute: 'a' }),
    /conditions\[1\]: has neither/,
  );
  assert.throws(() => compile(oneOf('a', ...Array(MAX_CONDITION_VALUES + 1).fill(1n))), /257 values/);
  assert.throws(() => compile(...Array(MAX_CONDITIONS + 1).fill(oneOf('a', 1n))), /17 conditions/);
});
