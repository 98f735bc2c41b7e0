import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { parseLauncherOptions, USAGE } from './options.ts';
import { createProgress, formatSeconds } from './progress.ts';
import { type DemoReport, formatReport, writeReport } from './report.ts';

const parse = (...flags: string[]) => parseLauncherOptions(flags, '/project', '/home/user');

test('options have defaults, and folders are relative to where the user is', () => {
  const defaults = parse();
  assert.equal(defaults?.once, false);
  assert.equal(defaults?.gallery, undefined);
  assert.equal(defaults?.folder, '/project/var/demo');
  const given = parse('--once', '--gallery', 'pictures', '--max-steps=7', '--emoji-limit', '60');
  assert.deepEqual(
    [given?.once, given?.gallery, given?.maxSteps, given?.emojiLimit],
    [true, '/home/user/pictures', 7, 60],
  );
  assert.equal(parse('--help'), undefined);
  for (const name of Object.keys({ ...defaults })) {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    assert.ok(USAGE.includes(flag), `${flag} is not in the help text`);
  }
});

test('a bad option is refused by name', () => {
  assert.throws(
    () => parse('--max-steps', 'many'),
    (error: Error) => error instanceof InvalidInputError && /--max-steps/.test(error.message),
  );
  assert.throws(() => parse('--port-base', '70000'), /--port-base/);
  assert.throws(() => parse('--twice'), /--twice/);
});

test('without a terminal progress is plain lines', () => {
  const stream = new PassThrough();
  const task = createProgress(stream).start('train', 10);
  task.update(5, 'loss 1');
  task.finish('loss 0.5');
  assert.equal(stream.read().toString(), 'train: 10 to do\ntrain: done in 0 s, loss 0.5\n');
});

test('on a terminal progress is a bar with an ETA', () => {
  const stream = Object.assign(new PassThrough(), {
    isTTY: true,
    cursorTo: () => true,
    clearLine: () => true,
  });
  const task = createProgress(stream).start('train', 10);
  task.update(5, 'loss 1', 125);
  task.finish('loss 0.5');
  const text = stream.read().toString();
  assert.match(text, /train .*100%.*took 0 s.*loss 0\.5/);
});

test('durations are readable', () => {
  assert.deepEqual([0.4, 59.4, 65, 600].map(formatSeconds), ['0 s', '59 s', '1 min 05 s', '10 min 00 s']);
});

test('the report keeps the two tests apart, on the screen and in the file', async () => {
  const recall = { r1: 25, r5: 60, r10: 78.67, mean_recall: 54.56, queries: 150, gallery: 150 };
  const none = { r1: null, r5: null, r10: null, mean_recall: null, queries: 0, gallery: 150 };
  const seconds = { setup: 44, dataset: 8, train: 150, encode: 2, rank: 1 };
  const report: DemoReport = { offline: { seen: recall, unseen: none }, seconds };
  const text = formatReport(report);
  assert.match(text, /seen concepts, unseen rendering +25\.0 +60\.0 +78\.7 +54\.6 +150 +150/);
  assert.match(text, /unseen concepts +- +- +- +- +0 +150/);
  assert.match(text, /together 3 min 25 s/);
  assert.doesNotMatch(text, /online|crawl|gate/);
  const folder = mkdtempSync(join(tmpdir(), 'report-'));
  await writeReport(join(folder, 'report.json'), report);
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')), report);
  rmSync(folder, { recursive: true, force: true });
});

test('with online learning the report has both figures of each test, the crawl and the gate', () => {
  const recall = (mean: number) => ({
    ...{ r1: 10, r5: 20, r10: 30, mean_recall: mean, queries: 150, gallery: 150 },
  });
  const online = { log_in: 5, crawl: 50, adapt: 60, encode_online: 2, rank_online: 1 };
  const gate = { before: 70.7, after: 68.4, max_drop: '10%', passed: true };
  const report: DemoReport = {
    offline: { seen: recall(54.9), unseen: recall(12.4) },
    online: { seen: recall(52), unseen: recall(26.5) },
    crawl: { queries: 375, cached: 9, images: 1810, no_results: 13, failed: 2, seconds: 50 },
    gate,
    seconds: { setup: 44, dataset: 8, train: 150, encode: 2, rank: 1, ...online },
  };
  const text = formatReport(report);
  assert.match(text, /unseen concepts .* 12\.4 .*\n {2}after learning online .* 26\.5 /);
  assert.match(text, /seen concepts, .* 54\.9 .*\n {2}after learning online .* 52\.0 /);
  assert.match(
    text,
    /1810 images for 375 queries \(9 from the cache, 13 without results, 2 failed\) in 50 s/,
  );
  assert.match(text, /mean recall 70\.7 before, 68\.4 after, .* 10% allowed: the adapted model is served/);
  assert.match(text, /crawl 50 s · adapt 1 min 00 s · encode online 2 s · .*together 5 min 23 s/);
  assert.match(formatReport({ ...report, gate: { ...gate, passed: false } }), /refused: the model of before/);
});
