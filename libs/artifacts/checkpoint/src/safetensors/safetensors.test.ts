import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  DataLossError,
  InvalidInputError,
  type NamedArrays,
  type NdArray,
  UnsupportedError,
} from '@online-cnclip/foundation';
import { float32Array, golden, plain, temporaryFolder } from '../testing/goldens.ts';
import { readSafetensors, readSafetensorsMetadata } from './safetensors-file.ts';
import { writeSafetensors } from './write-safetensors.ts';

const folder = temporaryFolder();
const path = join(folder, 'file.safetensors');

const mixed: NamedArrays = new Map<string, NdArray>([
  ['flags', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }],
  ['bytes', { dtype: 'uint8', shape: [2, 1], data: Uint8Array.of(255, 0) }],
  ['ids', { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) }],
  ['counts', { dtype: 'int32', shape: [1], data: Int32Array.of(-7) }],
  ['values', float32Array([2, 2], [1, 2.5, -3, 65504])],
  ['scalar', float32Array([], [4])],
  ['nothing', float32Array([0, 3], [])],
  ['__proto__', float32Array([1], [5])],
]);

test('the reference implementation wrote the goldens: every shape is filled', async () => {
  const arrays = await readSafetensors(golden('vit/cases.safetensors'));
  assert.ok(arrays.size > 0);
  for (const [name, { shape, data }] of arrays)
    assert.equal(
      data.length,
      shape.reduce((a, b) => a * b, 1),
      name,
    );
  assert.equal(arrays.get('images')?.shape.length, 4);
});

test('all types, metadata, and a subset come back', async () => {
  await writeSafetensors(path, mixed, { metadata: { format: 'pt', 名: '值' } });
  assert.deepEqual(plain(await readSafetensors(path)), plain(mixed));
  assert.deepEqual(await readSafetensorsMetadata(path), { format: 'pt', 名: '值' });
  const some = await readSafetensors(path, { only: (name) => name === 'ids' });
  assert.deepEqual([...some.keys()], ['ids']);
  for (const precision of ['fp16', 'bf16'] as const) {
    await writeSafetensors(path, mixed, { precision });
    const { values, ids } = plain(await readSafetensors(path));
    assert.deepEqual(values?.[2], [1, 2.5, -3, precision === 'fp16' ? 65504 : 65536]);
    assert.deepEqual(ids?.[2], [-1n, 2n ** 62n]);
  }
});

function withHeader(header: unknown, dataBytes: number, length?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(json.length));
  writeFileSync(path, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
  return path;
}

const tensor = (start: number, end: number, shape = [(end - start) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

test('a header that lies is refused', async () => {
  const damaged: [unknown, number, bigint?][] = [
    [{ a: tensor(0, 8) }, 4],
    [{ a: tensor(0, 8) }, 12],
    [{ a: tensor(0, 8), b: tensor(4, 12) }, 12],
    [{ a: tensor(0, 4), b: tensor(8, 12) }, 12],
    [{ a: tensor(4, 8) }, 8],
    [{ a: tensor(0, 8, [3]) }, 8],
    [{ a: tensor(0, 8, [2 ** 40, 2 ** 40]) }, 8],
    [{ a: tensor(0, 8, [-2]) }, 8],
    [{ a: tensor(8, 0, [-2]) }, 8],
    [{ a: { dtype: 'F32', shape: [2] } }, 8],
    [{ a: 1 }, 0],
    [{ __metadata__: { a: 1 } }, 0],
    ['[]', 0],
    ['{"a"', 0],
    [{ a: tensor(0, 8) }, 8, 2n ** 63n],
    [{ a: tensor(0, 8) }, 8, 1000n],
  ];
  for (const [header, bytes, length] of damaged)
    await assert.rejects(
      readSafetensors(withHeader(header, bytes, length)),
      DataLossError,
      JSON.stringify(header),
    );
  const short = join(folder, 'short');
  writeFileSync(short, 'abc');
  await assert.rejects(readSafetensors(short), DataLossError);
});

test('types that are unknown, or not readable, are named', async () => {
  const unknown = withHeader({ a: tensor(0, 8, [8], 'F8_E4M3') }, 8);
  await assert.rejects(
    readSafetensors(unknown),
    (e: Error) => e instanceof InvalidInputError && /a: .*F8_E4M3/.test(e.message),
  );
  const proto = withHeader({ a: tensor(0, 8, [8], 'constructor') }, 8);
  await assert.rejects(readSafetensors(proto), InvalidInputError);
  const double = withHeader({ a: tensor(0, 8, [1], 'F64'), b: tensor(8, 12) }, 12);
  await assert.rejects(
    readSafetensors(double),
    (e: Error) => e instanceof UnsupportedError && /a: .*float64/.test(e.message),
  );
  assert.equal((await readSafetensors(double, { only: (name) => name === 'b' })).size, 1);
});

test('writing a golden again gives the same tensors', async () => {
  const arrays = await readSafetensors(golden('vit/huggingface/model.safetensors'));
  await writeSafetensors(path, arrays);
  assert.deepEqual(plain(await readSafetensors(path)), plain(arrays));
  assert.equal(readFileSync(path).readBigUInt64LE() % 8n, 0n);
});
