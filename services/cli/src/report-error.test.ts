import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CancelledError, DataLossError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { CommanderError } from 'commander';
import { describeFailure } from './report-error.ts';

test('an expected error is one line with its place; bad input ends with 2, the rest with 1', () => {
  const place = 'a.tsv:3';
  const bad = new InvalidInputError('is\n  broken', { place });
  assert.deepEqual(describeFailure(bad, false), { exitCode: 2, text: 'cnclip: a.tsv:3: is broken' });
  for (const error of [new NotFoundError('gone', { place }), new DataLossError('gone', { place })])
    assert.deepEqual(describeFailure(error, false), { exitCode: 1, text: 'cnclip: a.tsv:3: gone' });
  assert.equal(describeFailure(new CancelledError('stopped by SIGINT'), false).exitCode, 130);
});

test("commander's own errors were said already", () => {
  assert.deepEqual(describeFailure(new CommanderError(0, 'commander.helpDisplayed', ''), false), {
    exitCode: 0,
  });
  assert.deepEqual(describeFailure(new CommanderError(1, 'commander.unknownOption', ''), false), {
    exitCode: 2,
  });
});

test('an unexpected error shows its stack, and that of its cause, with DEBUG only', () => {
  const error = new TypeError('x is not a function', { cause: new Error('deeper') });
  const { exitCode, text = '' } = describeFailure(error, false);
  assert.equal(exitCode, 1);
  assert.equal(text, 'cnclip: unexpected error: x is not a function (DEBUG=1 shows where it comes from)');
  const debug = describeFailure(error, true).text ?? '';
  assert.match(debug, /^cnclip: TypeError: x is not a function\n +at /);
  assert.match(debug, /caused by Error: deeper\n +at /);
  assert.match(describeFailure('text', false).text ?? '', /unexpected error: text/);
});
