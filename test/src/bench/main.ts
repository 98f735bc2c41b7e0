// npm run bench [-- --peers] [--only NAME,...] [--rounds N]: measures each subject in a process of its own and, with
// --peers, the Python reference beside it, in turn; prints a table and writes var/bench/report.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InvalidInputError } from '@online-cnclip/foundation';
import { type Measurement, measure } from './measure.ts';
import { preparePeers } from './python-environment.ts';
import { SUBJECTS } from './subjects.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const DEFAULT_ROUNDS = 5;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    peers: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: String(DEFAULT_ROUNDS) },
  },
});

const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new InvalidInputError(`${values.rounds} is not a count`, { place: '--rounds' });
const wanted = values.only?.split(',');
const unknown = wanted?.filter((name) => !SUBJECTS.some((subject) => subject.name === name)) ?? [];
if (unknown.length)
  throw new InvalidInputError(`${unknown} is unknown; known: ${SUBJECTS.map(({ name }) => name)}`, {
    place: '--only',
  });

const folder = join(ROOT, 'var/bench');
mkdirSync(folder, { recursive: true });
const python = values.peers ? preparePeers(folder) : null;

function show({ name, value, unit, peak_gb, peer, peer_value, peer_peak_gb, ratio }: Measurement): void {
  const ours = `${name.padEnd(20)} ${value.toFixed(2).padStart(10)} ${unit.padEnd(22)} ${peak_gb.toFixed(2).padStart(6)} GB`;
  const theirs = `   ${peer}: ${peer_value?.toFixed(2).padStart(10)} ${peer_peak_gb?.toFixed(2).padStart(6)} GB   ratio ${ratio?.toFixed(2)}`;
  console.log(peer === undefined ? ours : ours + theirs);
}

const report: Measurement[] = [];
for (const subject of SUBJECTS)
  if (!wanted || wanted.includes(subject.name)) {
    const measurement = await measure(subject, python, rounds, folder);
    report.push(measurement);
    show(measurement);
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  }
console.log(`\nMedians of ${rounds} rounds; ratio above 1: we are faster. Written to var/bench/report.json`);
process.exit(0);
