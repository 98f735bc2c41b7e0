import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError, UnavailableError } from '@online-cnclip/foundation';
import type { ServiceClients } from '../services.ts';
import type { JobContext } from './context.ts';
import { watchRun } from './watch-run.ts';

/** A trainer whose n-th stream gives the n-th numbers and then throws the n-th error, if any. */
function contextWith(...streams: [numbers: number[], error?: Error][]): JobContext {
  const trainer = {
    async *watchRun() {
      const [numbers, error] = streams.shift() ?? [[]];
      yield* numbers;
      if (error) throw error;
    },
  };
  return {
    clients: { trainer } as unknown as ServiceClients,
    progress: { note: () => {}, start: () => ({ update: () => {}, finish: () => {} }) },
    signal: new AbortController().signal,
  };
}

test('a run is watched on after its connection was lost', async () => {
  const context = contextWith([[1, 2], new UnavailableError('Connection dropped')], [[2, 3]]);
  assert.deepEqual(await Array.fromAsync(watchRun(context, 'run')), [1, 2, 2, 3]);
});

test('any other error ends it', async () => {
  const context = contextWith([[1], new NotFoundError('no such run')], [[2]]);
  await assert.rejects(Array.fromAsync(watchRun(context, 'run')), NotFoundError);
});
