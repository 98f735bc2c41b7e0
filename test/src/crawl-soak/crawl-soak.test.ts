// The short form of npm run crawl:soak, with more faults and kills for its length.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from '../soak/random.ts';
import { shopQueries } from './queries.ts';
import { runSoak } from './soak.ts';
import { verdict } from './verdict.ts';

test('queries through faults and kills: each answered once, none lost, no image wrong, no rate breached', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'crawl-soak-'));
  const report = await runSoak({
    queries: shopQueries(60),
    wanted: 2,
    sessions: 2,
    faultRate: 0.25,
    kills: 4,
    maxKillGapMs: 3_000,
    queryIntervalMs: 200,
    folder,
    random: seededRandom(Date.now()),
    tell: (line) => context.diagnostic(line),
  });
  context.diagnostic(JSON.stringify(report));
  assert.deepEqual(verdict(report), []);
  assert.ok(Object.keys(report.faults).length > 3, 'faults were met');
  // Kept for whoever looks when it failed.
  rmSync(folder, { recursive: true });
});
