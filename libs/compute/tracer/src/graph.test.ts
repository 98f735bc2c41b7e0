import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  apply,
  collectGraph,
  constant,
  elementsOf,
  graphInput,
  int64List,
  record,
  scalar,
  uniformElement,
  type Value,
} from './graph.ts';

const collect = (inputs: readonly Value[], outputs: Readonly<Record<string, Value>>) =>
  collectGraph('graph', inputs, Object.entries(outputs), (shape) => shape);
const add = (a: Value, b: Value): Value => apply('Add', [a, b], a.shape, a.elementType);

test('nodes come after what they need, and once however often they are used', () => {
  const x = graphInput('x', 'float32', [2]);
  const shared = apply('Exp', [x], [2], 'float32');
  const { message } = collect([x], { y: add(add(shared, x), shared) });
  assert.deepEqual(
    message.nodes.map(({ op }) => op),
    ['Exp', 'Add', 'Add'],
  );
  const known = new Set(['x']);
  for (const { inputs, outputs } of message.nodes) {
    for (const name of inputs) assert.ok(known.has(name), `${name} is used before it is made`);
    for (const name of outputs) known.add(name);
  }
  assert.deepEqual(message.outputs, [{ name: 'y', elementType: 'float32', shape: [2] }]);
});

test('what no output needs is left out, an unused input is not', () => {
  const [x, unused] = [graphInput('x', 'float32', [2]), graphInput('unused', 'int32', [])];
  apply('Exp', [x], [2], 'float32');
  const { message } = collect([x, unused], { y: apply('Neg', [x], [2], 'float32') });
  assert.deepEqual(
    message.nodes.map(({ op }) => op),
    ['Neg'],
  );
  assert.deepEqual(
    message.inputs.map(({ name }) => name),
    ['x', 'unused'],
  );
});

test('one value can be several outputs, and an input one', () => {
  const x = graphInput('x', 'float32', [2]);
  const y = apply('Neg', [x], [2], 'float32');
  const { message } = collect([x], { a: y, b: y, c: x });
  const identities = message.nodes.slice(1).map(({ inputs, outputs }) => [...inputs, ...outputs]);
  assert.deepEqual(message.nodes[0]?.outputs, ['a']);
  assert.deepEqual(identities, [
    ['a', 'b'],
    ['x', 'c'],
  ]);
});

test('optional inputs and further outputs keep their places', () => {
  const x = graphInput('x', 'float32', [4]);
  const spec = { elementType: 'float32', shape: [2] } as const;
  const [, second] = record('Split', [x, null, x], [spec, spec]) as [Value, Value];
  const { message } = collect([x], { y: second });
  assert.deepEqual(message.nodes[0]?.inputs, ['x', '', 'x']);
  assert.deepEqual(message.nodes[0]?.outputs, ['v0', 'y']);
  assert.equal(message.nodes.length, 1);
});

test('small equal constants are written once; their type and shape count', () => {
  const x = graphInput('x', 'float32', [1]);
  const constants = [
    scalar('float32', 1),
    scalar('float32', 1),
    constant('float32', [1], Float32Array.of(1)),
    scalar('int32', 1),
    scalar('float32', 2),
    int64List([1]),
  ];
  const { message } = collect([x], { y: apply('Concat', constants, [6], 'float32') });
  const [concat] = message.nodes;
  assert.equal(concat?.inputs[0], concat?.inputs[1]);
  assert.equal(new Set(concat?.inputs).size, 5);
  assert.equal(message.initializers.length, 5);
});

test('a named constant stays outside of the model and is handed over once', () => {
  const weights = Float32Array.from({ length: 100 }, (_, i) => i);
  const w = () => constant('float32', [100], weights, 'w');
  const { message, external } = collect([], { y: add(w(), w()) });
  assert.deepEqual([...external], [['w', weights]]);
  assert.deepEqual(message.initializers, [
    { name: 'w', elementType: 'float32', shape: [100], content: { location: 'w', byteLength: 400 } },
  ]);
});

test('a graph of a hundred thousand nodes in a row is collected without recursion', () => {
  let y = graphInput('x', 'float32', [1]);
  const x = y;
  for (let i = 0; i < 100_000; i++) y = apply('Neg', [y], [1], 'float32');
  assert.equal(collect([x], { y }).message.nodes.length, 100_000);
});

test('elements are converted to their type, and not copied where they have it', () => {
  const floats = Float32Array.of(1.5);
  assert.equal(elementsOf('float32', floats), floats);
  assert.deepEqual(elementsOf('int64', [1, -2]), BigInt64Array.of(1n, -2n));
  assert.deepEqual(elementsOf('int32', [1.9]), Int32Array.of(1));
  assert.deepEqual(elementsOf('bool', [1, 0]), Uint8Array.of(1, 0));
});

test('a constant is uniform when every element is the same, one element standing for all', () => {
  assert.equal(uniformElement(constant('float32', [3], Float32Array.of(2, 2, 2))), 2);
  assert.equal(uniformElement(constant('float32', [3], Float32Array.of(2))), 2);
  assert.equal(uniformElement(constant('float32', [3], Float32Array.of(2, 2, 1))), null);
  assert.equal(uniformElement(constant('float32', [0], new Float32Array())), null);
  assert.equal(uniformElement(constant('float32', [2], Float32Array.of(2, 2), 'weights')), null);
  assert.equal(uniformElement(graphInput('x', 'float32', [1])), null);
});
