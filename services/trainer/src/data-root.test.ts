import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { DataRoot } from './data-root.ts';

const folder = mkdtempSync(join(tmpdir(), 'data-root-'));
mkdirSync(join(folder, 'root/datasets'), { recursive: true });
mkdirSync(join(folder, 'root-other'));
symlinkSync(join(folder, 'root-other'), join(folder, 'root/link'));
const root = new DataRoot(join(folder, 'root'));

test('paths below the root are resolved, whether they exist or not', () => {
  assert.equal(root.resolve('datasets/MUGE', 'data_dir'), join(root.path, 'datasets/MUGE'));
  assert.equal(root.resolve('a/../b', 'data_dir'), join(root.path, 'b'));
  assert.equal(root.resolve('..b/c', 'data_dir'), join(root.path, '..b/c'));
  assert.equal(root.relative(join(root.path, 'datasets/MUGE')), 'datasets/MUGE');
  assert.equal(root.relative('/elsewhere'), '/elsewhere');
});

for (const path of ['', '..', '../root-other', '/etc', 'a/../../b', 'link', 'link/new', 'a\0b'])
  test(`refused: ${JSON.stringify(path)}`, () => {
    assert.throws(
      () => root.resolve(path, 'options.train_data'),
      (error) => error instanceof InvalidInputError && error.place === 'options.train_data',
    );
  });
