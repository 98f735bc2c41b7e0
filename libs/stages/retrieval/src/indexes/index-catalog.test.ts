import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  AlreadyExistsError,
  DataLossError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
} from '@online-cnclip/foundation';
import { IndexCatalog, MAX_INDEXES } from './index-catalog.ts';

const root = await mkdtemp(join(tmpdir(), 'catalog-'));
after(() => rm(root, { recursive: true }));
const open = (folder: string) => IndexCatalog.open({ folder: join(root, folder), maxItems: 100 });
const vector = Float32Array.of(1, 2);

test('what was saved is there after a restart', async () => {
  const catalog = await open('restart');
  await catalog.create('b', { dimension: 2 });
  await catalog.create('a', { dimension: 3, fingerprint: 'abc' });
  await catalog.get('b').index.upsert([7n], [vector]);
  assert.deepEqual(await catalog.saveChanged(), ['b']);
  assert.deepEqual(await catalog.saveChanged(), []);
  await catalog.get('b').index.upsert([8n], [vector]);
  await catalog.create('dropped', { dimension: 2 });
  assert.equal(await catalog.drop('dropped'), 0);
  const again = await open('restart');
  assert.deepEqual(
    again.list().map(({ name, index }) => [name, index.size, index.dimension, index.fingerprint]),
    [
      ['a', 0, 3, 'abc'],
      ['b', 1, 2, undefined],
    ],
  );
  assert.equal(again.get('b').index.maxItems, 100);
});

test('names never leave the folder', async () => {
  const catalog = await open('names');
  for (const name of [
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    '.hidden',
    '-x',
    'a b',
    'ä',
    'a\0',
    'x'.repeat(65),
    'a\n',
  ]) {
    assert.throws(() => catalog.get(name), InvalidInputError, name);
    await assert.rejects(async () => catalog.create(name, { dimension: 2 }), InvalidInputError, name);
    await assert.rejects(catalog.drop(name), InvalidInputError, name);
  }
  for (const name of ['a', 'A..b', '0-_.x', 'x'.repeat(64)]) await catalog.create(name, { dimension: 2 });
  assert.equal((await readdir(join(root, 'names'))).length, 4);
});

test('taken, missing, damaged and too many', async () => {
  const catalog = await open('limits');
  const [first, second] = await Promise.allSettled([1, 2].map(() => catalog.create('x', { dimension: 2 })));
  assert.equal(first?.status, 'fulfilled');
  assert.ok(second?.status === 'rejected' && second.reason instanceof AlreadyExistsError);
  assert.throws(() => catalog.get('y'), NotFoundError);
  await assert.rejects(catalog.drop('y'), NotFoundError);
  await assert.rejects(catalog.create('y', { dimension: 0 }), InvalidInputError);
  for (let i = 1; i < MAX_INDEXES; i++) await catalog.create(`x${i}`, { dimension: 2 });
  await assert.rejects(catalog.create('last', { dimension: 2 }), ResourceExhaustedError);
  const path = join(root, 'limits/x.index');
  await writeFile(path, (await readFile(path)).subarray(0, 50));
  await assert.rejects(
    open('limits'),
    (error) => error instanceof DataLossError && error.message.includes(path),
  );
});
