import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expanded, TracerBackend } from './backend.ts';
import { constant, graphInput, type RecordedNode } from './graph.ts';

const nodeOf = ({ producer }: { producer: { kind: string } }): RecordedNode => {
  assert.equal(producer.kind, 'node');
  return producer as RecordedNode;
};

test('a handle of another shape reads the same data through a reshape', () => {
  const backend = new TracerBackend();
  const { dataId } = backend.tensor(graphInput('x', 'float32', [2, 3]));
  const value = backend.value({ dataId, shape: [6], dtype: 'float32' });
  assert.equal(nodeOf(value).op, 'Reshape');
  assert.deepEqual(value.shape, [6]);
  const literal = backend.write(Float32Array.of(1, 2), [2], 'float32');
  assert.equal(backend.value({ dataId: literal, shape: [1, 2], dtype: 'float32' }).producer.kind, 'constant');
});

test('64-bit integers, which ONNX makes, are int32 to TFJS', () => {
  assert.equal(new TracerBackend().tensor(graphInput('i', 'int64', [1])).dtype, 'int32');
});

test('a handle is forgotten with its last reference, or by force', () => {
  const backend = new TracerBackend();
  const handle = () => backend.tensor(graphInput('x', 'float32', [1]));
  const [shared, forced] = [handle(), handle()];
  backend.incRef(shared.dataId);
  assert.equal(backend.refCount(shared.dataId), 2);
  assert.equal(backend.disposeData(shared.dataId), false);
  assert.ok(backend.value(shared));
  assert.equal(backend.disposeData(shared.dataId), true);
  assert.throws(() => backend.value(shared), /from outside the trace/);
  backend.incRef(forced.dataId);
  assert.equal(backend.disposeData(forced.dataId, true), true);
  assert.equal(backend.numDataIds(), 0);
});

test('large constants of equal elements are expanded when the graph runs', () => {
  const ones = expanded(constant('float32', [1000], new Float32Array(1000).fill(1)));
  assert.equal(nodeOf(ones).op, 'Expand');
  const standing = expanded(constant('float32', [3], Float32Array.of(1)));
  assert.equal(nodeOf(standing).op, 'Expand');
  const small = constant('float32', [2], Float32Array.of(1, 1));
  assert.equal(expanded(small), small);
  const weights = constant('float32', [1000], new Float32Array(1000), 'weights');
  assert.equal(expanded(weights), weights);
});
