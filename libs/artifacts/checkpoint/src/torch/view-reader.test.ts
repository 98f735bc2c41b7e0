import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataLossError, InvalidInputError, UnsupportedError } from '@online-cnclip/foundation';
import { PickleGlobal, PickleTuple, type PickleValue } from '../pickle/values.ts';
import { PickleCall } from '../pickle/writer.ts';
import { readCheckpoint } from '../read-checkpoint.ts';
import { plain, temporaryFolder } from '../testing/goldens.ts';
import { pickledView, type ViewSpec, writeTorchZip } from '../testing/torch-files.ts';

const folder = temporaryFolder();
const sixty = Float32Array.from({ length: 60 }, (_, i) => i);

async function readView(spec: ViewSpec, storage: ArrayBufferView = sixty) {
  const pickle: PickleValue = new Map([['x', pickledView(spec)]]);
  const { parameters } = await readCheckpoint(await writeTorchZip(folder, pickle, [storage]));
  return plain(parameters)['x'];
}

test('strided, offset and repeated views of [3, 4, 5] become dense arrays', async () => {
  // x.permute(2, 0, 1)
  const permuted = await readView({ length: 60, shape: [5, 3, 4], strides: [1, 20, 5] });
  const expected = Array.from({ length: 60 }, (_, i) => {
    const [a, b, c] = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4];
    return 20 * b + 5 * c + a;
  });
  assert.deepEqual(permuted, ['float32', [5, 3, 4], expected]);
  // x[1:, 2]
  const sliced = await readView({ length: 60, offset: 30, shape: [2, 5], strides: [20, 1] });
  assert.deepEqual(sliced, ['float32', [2, 5], [30, 31, 32, 33, 34, 50, 51, 52, 53, 54]]);
  // x[0, 0, :2].expand(2, 2)
  const expanded = await readView({ length: 60, shape: [2, 2], strides: [0, 1] });
  assert.deepEqual(expanded, ['float32', [2, 2], [0, 1, 0, 1]]);
  const scalar = await readView({ length: 60, offset: 7, shape: [], strides: [] });
  assert.deepEqual(scalar, ['float32', [], [7]]);
  const empty = await readView({ length: 60, shape: [2 ** 50, 0], strides: [7, 7] });
  assert.deepEqual(empty, ['float32', [2 ** 50, 0], []]);
});

test('every element type, strided (transposed [2, 3])', async () => {
  const view = { length: 6, shape: [3, 2], strides: [1, 3] };
  const cases: [string, ArrayBufferView, string, unknown[]][] = [
    ['torch.HalfStorage', Float16Array.of(0, 1, 2, 3, 4, 65504), 'float32', [0, 3, 1, 4, 2, 65504]],
    [
      'torch.BFloat16Storage',
      Uint16Array.of(0, 0x3f80, 0x4000, 0xc040, 1, 0x7f80),
      'float32',
      [0, -3, 1, 2 ** -133, 2, Infinity],
    ],
    [
      'torch.LongStorage',
      BigInt64Array.of(0n, 1n, -2n, 3n, 4n, 2n ** 60n),
      'int64',
      [0n, 3n, 1n, 4n, -2n, 2n ** 60n],
    ],
    ['torch.IntStorage', Int32Array.of(0, 1, 2, -3, 4, 5), 'int32', [0, -3, 1, 4, 2, 5]],
    ['torch.ByteStorage', Uint8Array.of(0, 1, 2, 3, 4, 255), 'uint8', [0, 3, 1, 4, 2, 255]],
    ['torch.BoolStorage', Uint8Array.of(0, 1, 1, 1, 0, 0), 'bool', [0, 1, 1, 0, 1, 0]],
  ];
  for (const [type, storage, dtype, values] of cases)
    assert.deepEqual(await readView({ ...view, type }, storage), [dtype, [3, 2], values], type);
});

test('tied tensors are read once', async () => {
  const view = pickledView({ length: 60, shape: [60], strides: [1] });
  const path = await writeTorchZip(
    folder,
    new Map([
      ['a', view],
      ['b', view],
    ]),
    [sixty],
  );
  const { parameters } = await readCheckpoint(path);
  assert.equal(parameters.get('a'), parameters.get('b'));
});

test('a view outside its storage is refused', async () => {
  const outside: ViewSpec[] = [
    { length: 60, shape: [61], strides: [1] },
    { length: 60, offset: 60, shape: [1], strides: [1] },
    { length: 60, offset: 61, shape: [0], strides: [1] },
    { length: 60, shape: [2, 2], strides: [59, 1] },
    { length: 60, shape: [2], strides: [-1] },
    { length: 60, offset: -1, shape: [2], strides: [1] },
    { length: 60, shape: [2 ** 52, 2 ** 52], strides: [1, 1] },
    { length: 60, shape: [2, 2], strides: [1] },
    { length: 60, shape: Array(17).fill(1), strides: Array(17).fill(1) },
    { length: 61, shape: [2], strides: [1] },
    { length: 2 ** 50, shape: [2 ** 50], strides: [1] },
    { length: 60, key: '1', shape: [2], strides: [1] },
  ];
  for (const spec of outside) await assert.rejects(readView(spec), DataLossError, JSON.stringify(spec));
});

test('a small file cannot unfold to a large tensor', async () => {
  for (const shape of [[1e9], [2 ** 50], [1e9, 1e9, 1e9]])
    await assert.rejects(
      readView({ length: 60, shape, strides: shape.map(() => 0) }),
      (error: Error) => error instanceof InvalidInputError && /may unfold to/.test(error.message),
    );
});

test('types without a place in memory are named', async () => {
  const view = { type: 'torch.DoubleStorage', length: 30, shape: [30], strides: [1] };
  await assert.rejects(
    readView(view),
    (error: Error) => error instanceof UnsupportedError && /x: .*float64/.test(error.message),
  );
});

test('arguments of the wrong kind are refused', async () => {
  const rebuild = new PickleGlobal('torch._utils._rebuild_tensor_v2');
  const parameter = new PickleGlobal('torch._utils._rebuild_parameter');
  const values: PickleValue[] = [
    new PickleCall(rebuild, []),
    new PickleCall(rebuild, [null, 0, new PickleTuple([1]), new PickleTuple([1])]),
    new PickleCall(parameter, [1, true]),
    'text',
    [1],
  ];
  for (const value of values) {
    const path = await writeTorchZip(folder, new Map([['x', value]]), []);
    await assert.rejects(
      readCheckpoint(path),
      (error: Error) => error instanceof DataLossError || error instanceof InvalidInputError,
    );
  }
});

test('a pickle that names another global is refused by name', async () => {
  const evil = new PickleCall(new PickleGlobal('numpy.core.multiarray.scalar'), []);
  const path = await writeTorchZip(folder, new Map([['x', evil]]), []);
  await assert.rejects(readCheckpoint(path), /global "numpy\.core\.multiarray\.scalar"/);
});
