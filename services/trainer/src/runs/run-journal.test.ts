import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkpointEvent, stepEvent, validationEvent } from '../testing.ts';
import { type RunEvent, RunJournal } from './run-journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'run-journal-'));
after(() => rmSync(folder, { recursive: true }));

const step = (number: number): RunEvent => ({ ...stepEvent(number), at: number });
const steps = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => step(from + i));
const told = (events: readonly RunEvent[]) =>
  events.map((event) => ('step' in event ? `${event.kind} ${event.step}` : event.kind));

test('what is written is read back by another journal; a run that nobody wrote of has nothing', async () => {
  const events = [
    step(1),
    { ...validationEvent(1), at: 2 },
    { ...checkpointEvent(1), savedAt: 3, at: 3 },
    step(2),
  ];
  const journal = new RunJournal(join(folder, 'made on demand'));
  await journal.append('运行 七', events.slice(0, 3));
  await journal.append('运行 七', events.slice(3));
  const other = new RunJournal(join(folder, 'made on demand'));
  assert.deepEqual(await other.read('运行 七'), JSON.parse(JSON.stringify(events)));
  assert.deepEqual(await other.read('another'), []);
});

test('what a resumed run does again replaces what it did before; a line cut by the end of the process is left out', async () => {
  const journal = new RunJournal(folder);
  await journal.append('resumed', [...steps(1, 3), { ...validationEvent(3), at: 3 }, ...steps(4, 6)]);
  appendFileSync(join(folder, 'resumed.jsonl'), '{"kind":"step","st\n');
  await journal.append('resumed', steps(5, 7));
  assert.deepEqual(told(await journal.read('resumed')), [
    ...['step 1', 'step 2', 'step 3', 'validation 3', 'step 4', 'step 5', 'step 6', 'step 7'],
  ]);
});

test('a long run is told of evenly, and its file keeps to its limit', async () => {
  const maxBytes = 20_000;
  const journal = new RunJournal(folder, maxBytes);
  for (let first = 1; first <= 2_000; first += 50) await journal.append('long', steps(first, first + 49));
  await journal.append('long', [{ ...validationEvent(2_000), at: 0 }]);
  assert.ok(statSync(join(folder, 'long.jsonl')).size < 2 * maxBytes);
  const all = await journal.read('long');
  assert.equal(told(all)[0], 'step 1');
  assert.equal(told(all).at(-1), 'validation 2000');
  const few = await journal.read('long', 10);
  assert.ok(few.length <= 11 && few.length > 5, String(few.length));
  assert.equal(told(few)[0], 'step 1');
});
