import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isMiss } from './case.ts';
import { runParity } from './run-parity.ts';

const GOLDENS = fileURLToPath(new URL('../../goldens', import.meta.url));

test('everything agrees with the reference stack', async (t) => {
  let compared = 0;
  for await (const result of runParity(GOLDENS)) {
    if ('skipped' in result) continue;
    compared++;
    await t.test(result.name, () => {
      assert.ok(!('failure' in result), 'failure' in result ? result.failure : '');
      assert.ok(!isMiss(result), `${result.error} of ${result.tolerance} ${result.unit}`);
    });
  }
  assert.ok(compared > 100, `${compared} comparisons`);
});

test('a wrong expectation is a miss, an unknown folder a failure', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parity-'));
  try {
    cpSync(join(GOLDENS, 'schedule'), join(folder, 'schedule'), { recursive: true });
    const path = join(folder, 'schedule', 'cases.json');
    const cases = JSON.parse(readFileSync(path, 'utf8'));
    cases[3].lr *= 1 + 1e-9;
    writeFileSync(path, JSON.stringify(cases));
    mkdirSync(join(folder, 'telepathy'));
    const results = [];
    for await (const result of runParity(folder)) results.push(result);
    assert.equal(results.length, 3);
    assert.ok(results.some((result) => 'skipped' in result && result.name === 'online'));
    assert.ok(results.some((result) => 'error' in result && isMiss(result)));
    assert.ok(results.some((result) => 'failure' in result && result.name === 'telepathy'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
