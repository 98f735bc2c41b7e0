import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataFolder } from './data-folder.ts';
import { FailedPreconditionError, InvalidInputError, NotFoundError } from './errors.ts';

const base = realpathSync(mkdtempSync(join(tmpdir(), 'data-folder-')));
const root = join(base, 'root');
mkdirSync(join(root, 'datasets'), { recursive: true });
mkdirSync(join(base, 'root-other'));
writeFileSync(join(root, 'datasets/scores.npy'), 'inside');
writeFileSync(join(root, '..data'), 'inside');
writeFileSync(join(base, 'root-other/secret'), 'outside');
const link = (target: string, name: string) => symlinkSync(target, join(root, name));
link('../root-other', 'folder-out');
link('../root-other/secret', 'file-out');
link('../root-other/new', 'nowhere-out');
link('datasets/new', 'nowhere-in');
link('datasets/../datasets/scores.npy', 'file-in');
link('file-out', 'twice-out');
link('circle', 'circle');
after(() => rmSync(base, { recursive: true }));
const folder = new DataFolder(root);

/** What neither way of asking may let through. */
const REFUSED = [
  ['', 'is not a path'],
  ['a\0b', 'is not a path'],
  ['datasets/scores.npy\0.pt', 'is not a path'],
  ['/etc/passwd', 'must be relative to the data folder'],
  [join(root, 'datasets'), 'must be relative to the data folder'],
  ['..', 'leads out of the data folder'],
  ['../root-other/secret', 'leads out of the data folder'],
  ['../root/../root-other', 'leads out of the data folder'],
  ['a/../../b', 'leads out of the data folder'],
  ['./datasets/.././../root-other', 'leads out of the data folder'],
  ['folder-out/secret', 'leads out of the data folder'],
  ['file-out', 'leads out of the data folder'],
  ['twice-out', 'leads out of the data folder'],
] as const;

for (const [path, reason] of REFUSED)
  test(`refused: ${JSON.stringify(path)}`, async () => {
    const isRefusal = (error: unknown) =>
      error instanceof InvalidInputError &&
      error.place === 'checkpoint_path' &&
      error.message === `checkpoint_path: ${JSON.stringify(path)} ${reason}`;
    assert.throws(() => folder.resolve(path, 'checkpoint_path'), isRefusal);
    await assert.rejects(folder.existing(path, 'checkpoint_path'), isRefusal);
  });

test('a path below the folder is resolved whether it exists or not, and told as callers know it', () => {
  assert.equal(folder.resolve('datasets/new/x', 'data_dir'), join(root, 'datasets/new/x'));
  assert.equal(folder.resolve('a/../b/', 'data_dir'), join(root, 'b'));
  assert.equal(folder.resolve('.', 'data_dir'), root);
  assert.equal(folder.resolve('..data', 'data_dir'), join(root, '..data'));
  assert.equal(folder.resolve('nowhere-in', 'data_dir'), join(root, 'nowhere-in'));
  assert.equal(folder.relative(join(root, 'datasets/new')), 'datasets/new');
  assert.equal(folder.relative(root), '.');
  assert.equal(folder.relative(`${root}-other/secret`), `${root}-other/secret`);
});

test('what would be created through a link that leads nowhere yet is refused too', () => {
  for (const path of ['folder-out/new/x', 'nowhere-out', 'nowhere-out/x'])
    assert.throws(() => folder.resolve(path, 'logs'), /leads out of the data folder/, path);
});

test('an existing file is given by its real path', async () => {
  const real = join(root, 'datasets/scores.npy');
  for (const path of ['datasets/scores.npy', './datasets//scores.npy', 'file-in'])
    assert.equal(await folder.existing(path, 'path'), real, path);
  assert.equal(await folder.existing('..data', 'path'), join(root, '..data'));
});

test('what is there but no file is refused, so that nobody waits for a pipe', async () => {
  execFileSync('mkfifo', [join(root, 'pipe')]);
  for (const path of ['datasets', '.', 'datasets/', 'pipe'])
    await assert.rejects(
      folder.existing(path, 'path'),
      (error) => error instanceof InvalidInputError && /is not a file$/.test(error.message),
      path,
    );
});

test('what is not there is said so without a word of where the folder lies', async () => {
  for (const path of ['nothing', 'nowhere-in', 'circle', 'datasets/scores.npy/x', 'a'.repeat(5_000)])
    await assert.rejects(
      folder.existing(path, 'path'),
      (error) => error instanceof NotFoundError && !error.message.includes(base),
      path.slice(0, 30),
    );
  assert.throws(() => new DataFolder(join(base, 'absent')), NotFoundError);
});

test('a folder is made where it is not there, and what cannot be one is named by its setting', () => {
  assert.equal(DataFolder.make(join(root, 'new/deep'), 'data-folder').path, join(root, 'new/deep'));
  assert.equal(DataFolder.make(root, 'data-folder').path, root);
  for (const path of [join(root, 'datasets/scores.npy'), join(root, 'datasets/scores.npy/x')])
    assert.throws(
      () => DataFolder.make(path, 'data-folder'),
      (error) => error instanceof FailedPreconditionError && error.place === 'data-folder',
      path,
    );
});

test('the root of the file system can be the folder', async () => {
  const all = new DataFolder('/');
  assert.equal(all.resolve(root.slice(1), 'path'), root);
  assert.equal(all.relative(root), root.slice(1));
});
