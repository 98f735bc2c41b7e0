import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FailedPreconditionError, ResourceExhaustedError } from './errors.ts';
import { replaceFileAtomically } from './files.ts';
import { storageErrorOf } from './storage-error.ts';

test('what a full disk says is a resource exhausted, what a read-only one says a precondition', () => {
  const error = (code: string, path?: string) =>
    Object.assign(new Error(`${code}: ...`), { code, syscall: 'write', path });
  const full = storageErrorOf(error('ENOSPC', '/data/secret'));
  assert.ok(full instanceof ResourceExhaustedError);
  assert.equal(full.message, 'the disk takes no more: ENOSPC of write');
  assert.ok(storageErrorOf(error('EROFS', '/data')) instanceof FailedPreconditionError);
  const numbered = Object.assign(new Error('No space left on device'), { code: 28 });
  assert.ok(storageErrorOf(numbered) instanceof ResourceExhaustedError);
  const notFound = Object.assign(new Error('5 NOT_FOUND: there is no run'), { code: 5 });
  assert.equal(storageErrorOf(notFound), undefined);
  // Of a socket, of a defect, of nothing.
  assert.equal(storageErrorOf(error('EACCES')), undefined);
  assert.equal(storageErrorOf(new TypeError('x')), undefined);
  assert.equal(storageErrorOf(undefined), undefined);
});

test('a file whose replacing meets a full disk keeps its content, and nothing is left beside it', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'storage-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  writeFileSync(path, 'before');
  // /dev/full takes no byte, as a disk that is full.
  const writing = replaceFileAtomically(path, async (temporaryPath) => {
    writeFileSync(temporaryPath, 'half');
    const full = await open('/dev/full', 'w');
    await full.writeFile('rest').finally(() => full.close());
  });
  await assert.rejects(writing, (error) => storageErrorOf(error) instanceof ResourceExhaustedError);
  assert.equal(readFileSync(path, 'utf8'), 'before');
  assert.deepEqual(readdirSync(folder), ['file']);
});
