import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CancelledError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { type ReadLinesOptions, readLineBatches } from './lines.ts';
import { temporaryFolder } from './testing/goldens.ts';

async function linesOf(path: string, options: ReadLinesOptions): Promise<string[]> {
  const all: string[] = [];
  for await (const { lines, firstLine } of readLineBatches(path, options)) {
    assert.equal(firstLine, all.length + 1);
    all.push(...lines.map(String));
  }
  return all;
}

test('finds the same lines whatever is read at a time', async (t) => {
  const path = join(await temporaryFolder(t), 'lines');
  const lines = Array.from({ length: 50 }, (_, i) => 'x'.repeat((i * 7) % 23) + i);
  for (const end of ['\n', '\r\n', ' \t\n'])
    for (const last of ['', end]) {
      await writeFile(path, lines.join(end) + last);
      for (const readBytes of [1, 2, 5, 16, 64, 4096])
        assert.deepEqual(await linesOf(path, { readBytes }), lines);
    }
});

test('counts empty lines, and reads an empty file', async (t) => {
  const path = join(await temporaryFolder(t), 'lines');
  await writeFile(path, 'a\n\n\nb');
  assert.deepEqual(await linesOf(path, {}), ['a', '', '', 'b']);
  await writeFile(path, '');
  assert.deepEqual(await linesOf(path, {}), []);
});

test('names a line that is too long, a missing file and a folder', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'lines');
  await writeFile(path, `a\n${'b'.repeat(100)}\n`);
  await assert.rejects(linesOf(path, { readBytes: 8, maxLineBytes: 64 }), {
    name: InvalidInputError.name,
    place: `${path}:2`,
  });
  await assert.rejects(linesOf(join(folder, 'none'), {}), NotFoundError);
  await assert.rejects(linesOf(folder, {}), InvalidInputError);
});

test('stops for the signal', async (t) => {
  const path = join(await temporaryFolder(t), 'lines');
  await writeFile(path, 'a\nb\nc\n');
  const controller = new AbortController();
  const batches = readLineBatches(path, { readBytes: 2, signal: controller.signal });
  assert.equal((await batches.next()).done, false);
  controller.abort();
  await assert.rejects(batches.next(), CancelledError);
});
