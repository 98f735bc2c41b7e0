import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailedPreconditionError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { openTestEngine } from '../testing.ts';
import { IndexCatalog } from './index-catalog.ts';

const open = async () => new IndexCatalog(await openTestEngine());

test('names never reach the engine when they are none', async () => {
  const catalog = await open();
  await catalog.create({ name: 'shop', dimension: 2 });
  const bad = [
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
  ];
  for (const name of bad) {
    await assert.rejects(catalog.get(name), InvalidInputError, name);
    await assert.rejects(catalog.create({ name, dimension: 2 }), InvalidInputError, name);
    await assert.rejects(catalog.drop(name), InvalidInputError, name);
    await assert.rejects(catalog.setAlias(name, 'shop'), /^InvalidInputError: alias: /, name);
    await assert.rejects(catalog.setAlias('live', name), InvalidInputError, name);
    await assert.rejects(catalog.removeAlias(name), InvalidInputError, name);
  }
  for (const name of ['a', '7', 'A-b_c.d', 'x'.repeat(64)]) await catalog.create({ name, dimension: 2 });
  await assert.rejects(catalog.get('none'), NotFoundError);
});

test('an alias reads and is not dropped in place of its index', async () => {
  const catalog = await open();
  const index = await catalog.create({ name: 'shop-1', dimension: 2, fingerprint: 'a' });
  await index.upsert({ ids: BigInt64Array.of(1n, 2n), vectors: Float32Array.of(1, 0, 0, 1) });
  await catalog.create({ name: 'shop-2', dimension: 2, fingerprint: 'b' });
  assert.equal(await catalog.setAlias('next', 'shop-2'), undefined);
  assert.equal(await catalog.setAlias('live', 'shop-1'), undefined);
  assert.deepEqual([...(await catalog.aliases()).keys()], ['live', 'next']);
  assert.equal((await catalog.get('live')).fingerprint, 'a');
  await assert.rejects(catalog.drop('live'), NotFoundError);
  await assert.rejects(catalog.drop('shop-1'), FailedPreconditionError);
  assert.equal(await catalog.setAlias('live', 'shop-2'), 'shop-1');
  assert.equal(await catalog.drop('shop-1'), 2);
  assert.deepEqual(
    (await catalog.list()).map(({ name }) => name),
    ['shop-2'],
  );
});
