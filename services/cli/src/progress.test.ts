import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createProgress, formatSeconds } from './progress.ts';

/** A stream that remembers what was written; a terminal has a width and moves its cursor. */
function stream(isTTY: boolean) {
  const through = new PassThrough();
  let text = '';
  through.on('data', (chunk) => {
    text += chunk;
  });
  const terminal = Object.assign(through, { isTTY, columns: 120, rows: 24 });
  return { terminal, written: () => text };
}

test('on a terminal: a bar with count, ETA and detail, and lines above it', (context) => {
  context.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 0 });
  const { terminal, written } = stream(true);
  const progress = createProgress(terminal);
  const task = progress.start('steps', 100);
  context.mock.timers.tick(1_000);
  task.update(10, 'loss 1.5', 75);
  progress.note('a line');
  context.mock.timers.tick(1_000);
  task.end();
  progress.note('after it');
  assert.match(written(), /steps .*10\/100 {2}ETA 1 min 15 s {2}loss 1\.5/);
  assert.match(written(), /a line\n[\s\S]*after it\n/);
});

test('elsewhere: lines, now and then, the ETA by the speed so far', (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: 0 });
  const { terminal, written } = stream(false);
  const progress = createProgress(terminal);
  const task = progress.start('queries', 100);
  context.mock.timers.tick(5_000);
  task.update(25);
  context.mock.timers.tick(5_000);
  task.update(50, 'half');
  task.update(51);
  task.end();
  progress.note('done');
  assert.equal(written(), 'queries: 50/100, ETA 10 s, half\ndone\n');
});

test('durations read well', () => {
  assert.deepEqual([0.2, 59, 60, 125, 3_600, 11_220].map(formatSeconds), [
    '0 s',
    '59 s',
    '1 min 00 s',
    '2 min 05 s',
    '1 h 00 min',
    '3 h 07 min',
  ]);
});
