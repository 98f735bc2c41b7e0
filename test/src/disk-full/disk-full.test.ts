// A disk that is full: a clear error, and what was there stays. A file that may not grow further fails as a full disk does.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readCheckpoint, writeCheckpoint } from '@online-cnclip/checkpoint';
import { buildDataset, checkDataset } from '@online-cnclip/dataset';
import { float32 } from '@online-cnclip/foundation';
import { GOLDENS } from '../soak/tiny-data.ts';

const PROGRAM = fileURLToPath(new URL('./write-until-full.ts', import.meta.url));

/** @param kibibytes that a file may have at most. @returns the kind of error that writing ended with. */
async function writeUntilFull(kind: string, folder: string, kibibytes: number): Promise<string> {
  const command = `ulimit -f ${kibibytes}; exec "${process.execPath}" "${PROGRAM}" ${kind} "${folder}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', command]);
  return stdout.trim();
}

function newFolder(context: { after(work: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'disk-full-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('a checkpoint that does not fit leaves the one before, and nothing beside it', async (context) => {
  const folder = newFolder(context);
  const path = join(folder, 'epoch_latest.pt');
  const parameters = new Map([['a', float32([2], Float32Array.of(1, 1))]]);
  await writeCheckpoint(path, { epoch: 1, step: 1, name: 'before', parameters });
  assert.equal(await writeUntilFull('checkpoint', folder, 500), 'resource-exhausted');
  assert.equal((await readCheckpoint(path)).step, 1);
  assert.deepEqual(readdirSync(folder), ['epoch_latest.pt']);
});

test('a data set that does not fit leaves the build before, and nothing beside it', async (context) => {
  const folder = newFolder(context);
  for (const file of ['valid_imgs.tsv', 'valid_texts.jsonl'])
    cpSync(join(GOLDENS, 'dataset', file), join(folder, file));
  await buildDataset({ dataDir: folder, splits: ['valid'] });
  assert.equal(await writeUntilFull('dataset', folder, 20), 'resource-exhausted');
  const [report] = await checkDataset({ lmdbDir: join(folder, 'lmdb') });
  assert.equal(report?.problemCount, 0);
  assert.ok((report?.pairs ?? 0) > 0);
  assert.deepEqual(readdirSync(join(folder, 'lmdb')), ['valid']);
});
