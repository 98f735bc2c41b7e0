import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAttributes, encodeAttributes } from './attributes-json.ts';
import { collectionName, indexName } from './collection-name.ts';

test('every name of an index has a collection of its own, with letters, digits and _ only', () => {
  const names = ['a', 'A', 'a.b', 'a-b', 'a_b', 'a_2eb', 'a__b', '0-_.x', 'x'.repeat(64), '_'.repeat(64)];
  const collections = names.map((name) => collectionName('p_', name));
  assert.equal(new Set(collections).size, names.length);
  for (const [index, collection] of collections.entries()) {
    assert.match(collection, /^p_[A-Za-z0-9_]{1,253}$/);
    assert.equal(indexName('p_', collection), names[index]);
  }
  for (const other of ['q_a', 'p_', 'p_a_', 'p_a_zz', 'p_a-b'])
    assert.equal(indexName('p_', other), undefined);
});

test('attributes come back with their kinds, to the last bit', () => {
  const attributes = {
    text: '“引号”\n\\ "',
    empty: '',
    i_like: 'a text',
    whole: 2n ** 63n - 1n,
    negative: -(2n ** 63n),
    float: 1.5,
    one: 1,
    tiny: 5e-324,
    huge: 1e21,
    minus: -0,
    yes: true,
    no: false,
  };
  assert.deepEqual(decodeAttributes(encodeAttributes(attributes), 'item 1'), attributes);
  assert.deepEqual(decodeAttributes(encodeAttributes({}), 'item 1'), {});
  assert.throws(() => decodeAttributes('3', 'item 1'), /item 1: 3 holds no attributes/);
});
