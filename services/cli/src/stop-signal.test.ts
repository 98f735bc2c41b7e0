import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { CancelledError } from '@online-cnclip/foundation';
import { listenForStop } from './stop-signal.ts';

function setUp() {
  const process = Object.assign(new EventEmitter(), {
    exits: [] as number[],
    exit: (code: number) => process.exits.push(code),
  });
  const clock = { ms: 0 };
  // The parts of a process that are listened to.
  const signal = listenForStop(process as unknown as NodeJS.Process, () => clock.ms);
  return { process, clock, signal };
}

test('the first signal aborts, with the reason', () => {
  const { process, signal } = setUp();
  process.emit('SIGTERM');
  assert.ok(signal.reason instanceof CancelledError);
  assert.match(signal.reason.message, /SIGTERM/);
  assert.deepEqual(process.exits, []);
});

test('its echoes do nothing, a later one ends the process', () => {
  const { process, clock } = setUp();
  process.emit('SIGINT');
  clock.ms = 200;
  process.emit('SIGINT');
  assert.deepEqual(process.exits, []);
  clock.ms = 900;
  process.emit('SIGINT');
  assert.deepEqual(process.exits, [130]);
});
