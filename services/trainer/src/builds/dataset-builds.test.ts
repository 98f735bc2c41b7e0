import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDataset } from '@online-cnclip/dataset';
import { AbortedError, CancelledError, NotFoundError } from '@online-cnclip/foundation';
import { buildDatasetUpdates } from './dataset-builds.ts';

const goldens = fileURLToPath(new URL('../../../../test/goldens/dataset', import.meta.url));
const PAIRS: unknown[] = JSON.parse(readFileSync(join(goldens, 'pairs.json'), 'utf8'));

function newRequest() {
  const dataDir = mkdtempSync(join(tmpdir(), 'builds-'));
  for (const file of ['valid_imgs.tsv', 'valid_texts.jsonl'])
    cpSync(join(goldens, file), join(dataDir, file));
  return { dataDir, splits: ['valid'], lmdbDir: join(dataDir, 'lmdb') };
}

test('tells of progress and of each split, in order, however slowly it is read', async () => {
  const request = newRequest();
  const kinds: string[] = [];
  for await (const update of buildDatasetUpdates(request, new AbortController().signal)) {
    kinds.push(update.kind);
    if (update.kind === 'split') assert.equal(update.split.pairs, PAIRS.length);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(kinds.at(-1), 'split');
  assert.equal(kinds.filter((kind) => kind === 'split').length, 1);
});

test('a cancelled build leaves nothing', async () => {
  const request = newRequest();
  const updates = buildDatasetUpdates(request, AbortSignal.abort());
  await assert.rejects(Array.fromAsync(updates), CancelledError);
  assert.ok(!existsSync(join(request.lmdbDir, 'valid')));
});

test('a reader that leaves has the build ended: what is there is whole', async () => {
  const request = newRequest();
  for await (const _ of buildDatasetUpdates(request, new AbortController().signal)) break;
  const lmdb = join(request.lmdbDir, 'valid');
  if (existsSync(lmdb)) {
    const dataset = openDataset(lmdb);
    assert.equal(dataset.pairs, PAIRS.length);
    dataset.close();
  }
});

test('an error reaches the reader', async () => {
  const request = { ...newRequest(), splits: ['nothing'] };
  await assert.rejects(
    Array.fromAsync(buildDatasetUpdates(request, new AbortController().signal)),
    NotFoundError,
  );
});

test('one build of a folder at a time', async () => {
  const request = newRequest();
  const never = new AbortController().signal;
  const [first, second] = await Promise.allSettled(
    [0, 1].map(() => Array.fromAsync(buildDatasetUpdates(request, never))),
  );
  assert.equal(first?.status, 'fulfilled');
  assert.ok(second?.status === 'rejected' && second.reason instanceof AbortedError);
});

test('nothing of a build stays open in this process', async () => {
  const open = () => readdirSync('/proc/self/fd').flatMap((fd) => linkOf(`/proc/self/fd/${fd}`));
  const request = newRequest();
  await Array.fromAsync(buildDatasetUpdates(request, new AbortController().signal));
  assert.deepEqual(
    open().filter((path) => path.startsWith(request.dataDir)),
    [],
  );
});

function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}
