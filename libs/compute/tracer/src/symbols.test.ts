import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { collectGraph, graphInput, type Value } from './graph.ts';
import { bindSymbols, describeShape, isSymbolic, shapeOperand } from './symbols.ts';

const images = graphInput('images', 'float32', [53, 3, 61]);

beforeEach(() =>
  bindSymbols([
    { name: 'batch', prime: 53, input: images, axis: 0 },
    { name: 'width', prime: 61, input: images, axis: 2 },
  ]),
);
afterEach(() => bindSymbols([]));

const operators = (value: Value): string[] =>
  collectGraph('sizes', [images], [['y', value]], (shape) => shape).message.nodes.map(({ op }) => op);

test('a size is symbolic when the prime of a symbol divides it', () => {
  assert.deepEqual([53, 106, 61 * 53, 52, 1, 0].map(isSymbolic), [true, true, true, false, false, false]);
});

test('an exact symbol is declared by its name, a multiple by its place', () => {
  assert.deepEqual(describeShape([53, 768, 61], 'output'), ['batch', 768, 'width']);
  assert.deepEqual(describeShape([53 * 197, 768], 'output'), ['output_0', 768]);
});

test('a fixed shape is a constant, a symbolic one is computed from the input', () => {
  assert.equal(shapeOperand([2, 0, 3]).producer.kind, 'constant');
  assert.deepEqual(operators(shapeOperand([53, 4])), ['Shape', 'Concat']);
  assert.deepEqual(operators(shapeOperand([53 * 61 * 2])), ['Shape', 'Shape', 'Mul', 'Mul', 'Concat']);
});

test('the same shape is computed once', () => {
  assert.equal(shapeOperand([53, 4]), shapeOperand([53, 4]));
});

test('without symbols nothing is symbolic', () => {
  bindSymbols([]);
  assert.equal(isSymbolic(53), false);
  assert.equal(shapeOperand([53, 61]).producer.kind, 'constant');
});
