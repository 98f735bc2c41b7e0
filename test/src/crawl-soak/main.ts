// npm run crawl:soak: 2,000 queries with 5 % faults over 4 sessions, and 100 ends of the service by SIGKILL.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../soak/random.ts';
import { shopQueries } from './queries.ts';
import { runSoak } from './soak.ts';
import { verdict } from './verdict.ts';

const { values } = parseArgs({
  options: {
    queries: { type: 'string', default: '2000' },
    sessions: { type: 'string', default: '4' },
    'fault-rate': { type: 'string', default: '0.05' },
    kills: { type: 'string', default: '100' },
    'query-interval-ms': { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    folder: { type: 'string' },
  },
});
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'crawl-soak-'));
console.error(`logs and data: ${folder}`);
const report = await runSoak({
  queries: shopQueries(Number(values.queries)),
  wanted: 2,
  sessions: Number(values.sessions),
  faultRate: Number(values['fault-rate']),
  kills: Number(values.kills),
  maxKillGapMs: 8_000,
  queryIntervalMs: Number(values['query-interval-ms']),
  folder,
  random: seededRandom(Number(values.seed)),
  tell: (line) => console.error(line),
});
console.log(JSON.stringify(report, null, 2));
const faults = verdict(report);
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
