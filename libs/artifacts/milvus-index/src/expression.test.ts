import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterExpression, idsExpression } from './expression.ts';
import type { Condition } from './items.ts';

const expression = (condition: Condition): string => filterExpression([condition]);

test('a text is only ever a text', () => {
  const values = [
    'a"b',
    '"] == "" or id > 0 or attributes["x',
    '\\',
    '\\"',
    "'",
    'a\nb\r',
    '红色',
    '{x}',
    '',
  ];
  const quoted = values.map((value) => {
    const text = expression({ kind: 'one-of', attribute: 'shop', values: [value] });
    const [, literal] = /^\(\(attributes\["s_shop"\] == (.*)\)\)$/s.exec(text) ?? [];
    assert.ok(literal, text);
    return literal;
  });
  for (const [index, literal] of quoted.entries()) {
    // One literal from its first to its last quotation mark, and what it stands for is the value.
    assert.match(literal, /^"(?:[^"\\\n\r]|\\["\\nr])*"$/);
    assert.equal(JSON.parse(literal), values[index]);
  }
});

test('numbers are looked for as the kinds that they are equal to', () => {
  const equalTo = (value: bigint | number): string =>
    expression({ kind: 'one-of', attribute: 'n', values: [value] });
  assert.equal(
    equalTo(7n),
    '((attributes["i_n"] == 7) or ((attributes["f_n"] >= 7.0) and (attributes["f_n"] <= 7.0)))',
  );
  assert.equal(equalTo(7), equalTo(7n));
  assert.match(equalTo(7.5), /^\(\(\(attributes\["f_n"\] >= 7\.5\) and \(attributes\["f_n"\] <= 7\.5\)\)\)$/);
  // No double is 2^53 + 1: a float field below or at it and above or at it at once is none.
  assert.match(
    equalTo(2n ** 53n + 1n),
    /i_n"\] == 9007199254740993.*f_n"\] > 9007199254740992\.0.*f_n"\] <= 9007199254740992\.0/,
  );
  assert.doesNotMatch(equalTo(1e300), /i_n/);
  assert.equal(
    expression({ kind: 'one-of', attribute: 'b', values: [true, false] }),
    '((attributes["b_b"] == true) or (attributes["b_b"] == false))',
  );
});

test('bounds keep whether they are included, whatever kind of number they are', () => {
  const range = (lower: number | bigint, inclusive: boolean): string =>
    expression({ kind: 'range', attribute: 'n', lower: { value: lower, inclusive } });
  assert.equal(range(2.5, false), '(((attributes["i_n"] >= 3)) or ((attributes["f_n"] > 2.5)))');
  assert.equal(range(3, true), '(((attributes["i_n"] >= 3)) or ((attributes["f_n"] >= 3.0)))');
  assert.equal(range(3n, false), '(((attributes["i_n"] >= 4)) or ((attributes["f_n"] > 3.0)))');
  // Everything an integer can be, and no item without the attribute.
  assert.match(range(-1e300, true), /i_n"\] < 0 or attributes\["i_n"\] >= 0/);
  assert.doesNotMatch(range(1e300, true), /i_n/);
  const upper = expression({
    kind: 'range',
    attribute: 'n',
    lower: { value: -2.5, inclusive: true },
    upper: { value: 4n, inclusive: false },
  });
  assert.equal(
    upper,
    '(((attributes["i_n"] >= -2) and (attributes["i_n"] < 4)) or ((attributes["f_n"] >= -2.5) and (attributes["f_n"] < 4.0)))',
  );
});

test('the lowest integer is never a literal, whose digits alone would be too large', () => {
  const lowest = -(2n ** 63n);
  for (const value of [lowest, lowest + 1n])
    for (const inclusive of [true, false])
      for (const condition of [
        { kind: 'one-of', attribute: 'n', values: [value] },
        { kind: 'range', attribute: 'n', lower: { value, inclusive } },
        { kind: 'range', attribute: 'n', upper: { value, inclusive } },
      ] as const)
        assert.doesNotMatch(expression(condition), /-9223372036854775808(?!\.)/);
});

test('every id can be asked for, the lowest by a comparison', () => {
  assert.equal(idsExpression([1n, -5n, 2n ** 63n - 1n]), 'id in [1,-5,9223372036854775807]');
  assert.equal(idsExpression([1n, -(2n ** 63n)]), 'id in [1] or id < -9223372036854775807');
});
