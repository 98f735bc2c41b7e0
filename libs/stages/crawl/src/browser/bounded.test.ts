import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { CancelledError, DeadlineExceededError, UnavailableError } from '@online-cnclip/foundation';
import { bounded } from './bounded.ts';

const never = new Promise<never>(() => undefined);
const late = (): DeadlineExceededError => new DeadlineExceededError('too late');

test('work ends with its own result or error, and leaves nothing with the signals', async () => {
  const { signal } = new AbortController();
  const bounds = { timeoutMs: 60_000, late, signals: [signal] };
  assert.equal(await bounded(Promise.resolve(7), bounds), 7);
  await assert.rejects(bounded(Promise.reject(new Error('its own')), bounds), /its own/);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('work that never ends ends with the bound that is met first', async () => {
  const controller = new AbortController();
  const bounds = { timeoutMs: 60_000, late, signals: [new AbortController().signal, controller.signal] };
  await assert.rejects(bounded(never, { ...bounds, timeoutMs: 5 }), { name: 'DeadlineExceededError' });
  const waiting = bounded(never, bounds);
  controller.abort(new UnavailableError('gone'));
  await assert.rejects(waiting, { name: 'UnavailableError', message: 'gone' });
  await assert.rejects(bounded(never, bounds), { message: 'gone' }, 'one that was met before');
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  const plain = AbortSignal.abort();
  await assert.rejects(
    bounded(never, { ...bounds, signals: [plain] }),
    (error) => error instanceof CancelledError,
  );
});
