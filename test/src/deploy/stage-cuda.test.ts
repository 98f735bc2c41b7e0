// The script that stages CUDA for the GPU image, on the smallest of its libraries: all of them are gigabytes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const docker = join(dirname(fileURLToPath(import.meta.url)), '../../../deploy/docker');
const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
const skip = hasPip ? false : 'python3 with pip is not installed';

test('libraries are staged by their digest, and refused by another', { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stage-cuda-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const all = readFileSync(join(docker, 'cuda-12.3.txt'), 'utf8').split('\n');
  const line = all.find((one) => one.startsWith('nvidia-cuda-runtime-')) ?? assert.fail('not in the list');
  const list = join(folder, 'list.txt');
  const stage = (content: string, target: string) => {
    writeFileSync(list, content);
    return spawnSync(process.execPath, [join(docker, 'scripts/stage-cuda.mjs'), join(folder, target), list], {
      encoding: 'utf8',
    });
  };
  const good = stage(line, 'good');
  assert.equal(good.status, 0, good.stderr);
  assert.deepEqual(readdirSync(join(folder, 'good')), ['libcudart.so.12']);

  const digest = line.slice(-1) === '0' ? '1' : '0';
  const bad = stage(line.slice(0, -1) + digest, 'bad');
  assert.notEqual(bad.status, 0);
  assert.match(bad.stderr, /DO NOT MATCH THE HASHES/);
  assert.ok(!existsSync(join(folder, 'bad')) || readdirSync(join(folder, 'bad')).length === 0);
});
