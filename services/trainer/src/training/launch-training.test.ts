import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DataLossError, UnavailableError } from '@online-cnclip/foundation';
import type { TrainingEvent } from '@online-cnclip/training';
import { options } from '../testing.ts';
import { processLauncher } from './launch-training.ts';

const runtime = (threads: number) => ({ runtime: 'onnxruntime', device: 'cpu', threads }) as const;
const entry = fileURLToPath(new URL('./process-for-tests.ts', import.meta.url));
const { launch } = processLauncher({ runtime: runtime(3), environment: {}, entry });

async function run(name: string, signal = new AbortController().signal) {
  const events: TrainingEvent[] = [];
  const result = await launch(options({ name, numWorkers: 9 }), {
    signal,
    onEvent: (event) => events.push(event),
  });
  return { result, events };
}

test('passes events on, and the wish to stop, be it uttered before the start', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  for (const signal of [stop.signal, AbortSignal.abort()]) {
    const { result, events } = await run('trains', signal);
    assert.deepEqual(result, { outcome: 'stopped', step: 3, epoch: 1 });
    // The threads of a step, and enough of libuv's for every decoder.
    assert.deepEqual(events, [{ kind: 'log', level: 'INFO', message: '3 9' }]);
  }
});

test('a process that dies says how, and what to do', async () => {
  await assert.rejects(
    run('killed'),
    (error) =>
      error instanceof UnavailableError && /ended by SIGKILL; starting the run again/.test(error.message),
  );
  await assert.rejects(run('ends'), /ended by status 7/);
});

test('failures keep their kind; defects keep their stack', async () => {
  await assert.rejects(
    run('fails'),
    (error) => error instanceof DataLossError && error.message === 'x.pt: damaged',
  );
  await assert.rejects(
    run('defect'),
    (error) => error instanceof Error && error.stack === 'Error: oops\n  there',
  );
});

test('a real training step works in a process of its own', async () => {
  await processLauncher({ runtime: runtime(1), environment: {} }).check();
});
