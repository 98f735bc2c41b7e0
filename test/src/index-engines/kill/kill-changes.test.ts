import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Children } from '../../soak/children.ts';
import { killChanges } from './kill-changes.ts';

const KILLS = 20;

test('what was acknowledged is there after SIGKILL at any moment', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'killed-index-'));
  const children = new Children();
  context.after(async () => {
    await children.close();
    await rm(folder, { recursive: true });
  });
  const report = await killChanges({ folder, seed: 6, kills: KILLS, children });
  assert.ok(report.acknowledged > KILLS, `${report.acknowledged} changes acknowledged`);
  assert.deepEqual({ ...report, acknowledged: 0 }, { kills: KILLS, acknowledged: 0, lost: 0, wrong: 0 });
});
