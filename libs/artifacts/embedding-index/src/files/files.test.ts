import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  DataLossError,
  float32,
  InvalidInputError,
  NotFoundError,
  UnsupportedError,
} from '@online-cnclip/foundation';
import {
  openNpy,
  readFeatureIds,
  readFeatures,
  readNpy,
  writeFeatures,
  writeNpy,
  writeNpyRows,
} from '../index.ts';

const golden = fileURLToPath(new URL('../../../../../test/goldens/ranking/', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'files-'));
after(() => rm(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test("numpy's own files are read, and written back byte for byte", async () => {
  for (const name of (await readdir(golden)).filter((file) => file.endsWith('.npy'))) {
    const array = await readNpy(join(golden, name));
    await writeNpy(at('copy.npy'), array);
    assert.ok((await readFile(at('copy.npy'))).equals(await readFile(join(golden, name))), name);
    const reader = await openNpy(join(golden, name));
    const [rows, columns] = reader.matrixShape;
    const middle = await reader.readRows(1, rows - 2);
    assert.deepEqual(middle, array.data.slice(columns, (rows - 1) * columns));
    await reader.close();
  }
});

const withHeader = (text: string, version = 1, data = Buffer.alloc(24)) => {
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(text.length);
  else length.writeUInt32LE(text.length);
  return Buffer.concat([
    Buffer.from('\x93NUMPY', 'latin1'),
    Buffer.of(version, 0),
    length,
    Buffer.from(text),
    data,
  ]);
};
const header = (fields: Partial<Record<'descr' | 'order' | 'shape', string>> = {}) =>
  `{'descr': '${fields.descr ?? '<f4'}', 'fortran_order': ${fields.order ?? 'False'}, 'shape': ${fields.shape ?? '(2, 3)'}, }\n`;

test('headers of version 2, vectors and scalars', async () => {
  await writeFile(at('v2.npy'), withHeader(header(), 2));
  assert.deepEqual((await readNpy(at('v2.npy'))).shape, [2, 3]);
  await writeFile(at('vector.npy'), withHeader(header({ shape: '(6,)' })));
  assert.deepEqual((await readNpy(at('vector.npy'))).shape, [6]);
  await writeNpy(at('scalar.npy'), float32([], Float32Array.of(7)));
  assert.deepEqual(await readNpy(at('scalar.npy')), float32([], Float32Array.of(7)));
  const reader = await openNpy(at('vector.npy'));
  assert.throws(() => reader.matrixShape, /no matrix/);
  await reader.close();
});

test('lying and foreign headers are refused', async () => {
  const cases: [Buffer, new (...args: never[]) => Error, RegExp][] = [
    [Buffer.from('PK'), DataLossError, /is not a .npy file/],
    [Buffer.from('<html>not found</html>'), DataLossError, /is not a .npy file/],
    [withHeader(header({ shape: '(200000, 300000)' })), DataLossError, /has \d+ bytes where the shape/],
    [withHeader(header({ shape: '(2, 2)' })), DataLossError, /has \d+ bytes where the shape/],
    [withHeader(header(), 1, Buffer.alloc(23)), DataLossError, /has \d+ bytes where the shape/],
    [withHeader(header({ shape: '(-2, 3)' })), DataLossError, /is not a .npy header/],
    [withHeader('{}'), DataLossError, /is not a .npy header/],
    [withHeader(header({ order: 'True' })), UnsupportedError, /Fortran/],
    [withHeader(header({ descr: '<f8' })), UnsupportedError, /holds <f8/],
    [withHeader(header({ descr: '|O' })), UnsupportedError, /holds \|O/],
    [withHeader(header(), 9), UnsupportedError, /version 9/],
  ];
  const long = withHeader(header(), 2);
  long.writeUInt32LE(0xffff_fff0, 8);
  cases.push([long, DataLossError, /its header claims/]);
  for (const [bytes, ErrorClass, message] of cases) {
    await writeFile(at('bad.npy'), bytes);
    await assert.rejects(readNpy(at('bad.npy')), (error) => {
      assert.ok(error instanceof ErrorClass, String(error));
      assert.match(error.message, message);
      assert.match(error.message, /bad\.npy/);
      return true;
    });
  }
  await assert.rejects(readNpy(at('none.npy')), NotFoundError);
});

test('a matrix that is not filled leaves the old file', async () => {
  await writeNpy(at('kept.npy'), float32([2], Float32Array.of(1, 2)));
  await assert.rejects(writeNpyRows(at('kept.npy'), [2, 2], [Float32Array.of(1, 2)]), InvalidInputError);
  assert.deepEqual((await readNpy(at('kept.npy'))).shape, [2]);
});

test('features are written and read', async () => {
  const features = [
    { id: 5n, feature: Float32Array.of(0.1, -2e-30, 3) },
    { id: 2n ** 63n - 1n, feature: Float32Array.of(1, 2, 3) },
  ];
  assert.equal(await writeFeatures(at('features.jsonl'), 'image_id', features), 2);
  assert.deepEqual(await collect(readFeatures(at('features.jsonl'), 'image_id')), features);
  assert.deepEqual(await readFeatureIds(at('features.jsonl'), 'image_id'), [5n, 2n ** 63n - 1n]);
  await writeFile(at('other-order.jsonl'), '{"feature": [1.5], "text_id": 8}\n{"text_id":9,"feature":[2]}');
  assert.deepEqual(await readFeatureIds(at('other-order.jsonl'), 'text_id'), [8n, 9n]);
  assert.deepEqual(
    (await collect(readFeatures(at('other-order.jsonl'), 'text_id'))).map(({ feature }) => feature[0]),
    [1.5, 2],
  );
});

test('a bad line of features is named', async () => {
  const good = '{"image_id": 1, "feature": [0.5, 1]}';
  const bad: [string, RegExp][] = [
    ['{"image_id": 2, "feature": [0.5', /is not JSON/],
    ['', /is not JSON/],
    ['[1]', /is not a JSON object/],
    ['{"text_id": 2, "feature": [1, 2]}', /image_id is missing, not a whole number/],
    ['{"image_id": "2", "feature": [1, 2]}', /image_id is "2", not a whole number/],
    ['{"image_id": 18446744073709551616, "feature": [1, 2]}', /image_id is "18446744073709551616"/],
    ['{"image_id": 2, "feature": [1]}', /has 1 numbers where the lines before have 2/],
    ['{"image_id": 2, "feature": [1, null]}', /feature\[1\] is null/],
    ['{"image_id": 2, "feature": []}', /feature is \[\]/],
    ['{"image_id": 1, "feature": [1, 2]}', /image_id 1 is in line 1 already/],
  ];
  for (const [line, message] of bad) {
    await writeFile(at('bad.jsonl'), `${good}\n${line}\n`);
    await assert.rejects(collect(readFeatures(at('bad.jsonl'), 'image_id')), (error) => {
      assert.ok(error instanceof InvalidInputError);
      assert.match(error.message, message);
      assert.match(error.message, /bad\.jsonl:2: /);
      return true;
    });
  }
  await assert.rejects(collect(readFeatures(at('none.jsonl'), 'image_id')), NotFoundError);
});
