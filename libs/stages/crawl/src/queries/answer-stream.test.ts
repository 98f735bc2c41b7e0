import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { UnavailableError } from '@online-cnclip/foundation';
import { answerStream } from './answer-stream.ts';

const never = new AbortController().signal;

async function* numbers(count: number, read: number[] = []): AsyncGenerator<number> {
  for (let i = 0; i < count; i += 1) {
    read.push(i);
    yield i;
  }
}

test('every request is answered once, in the order in which they end', async () => {
  const gates = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  const answers: number[] = [];
  const order = [3, 0, 1, 2, ...Array.from({ length: 16 }, (_, i) => 19 - i)];
  const reading = (async () => {
    const work = async (i: number) => {
      await gates[i]?.promise;
      return i;
    };
    for await (const answer of answerStream(numbers(20), work, { maxInFlight: 100, stop: never }))
      answers.push(answer);
  })();
  for (const i of order) {
    gates[i]?.resolve();
    for (let turns = 0; turns < 10; turns += 1) await turn();
  }
  await reading;
  assert.deepEqual(answers, order);
});

test('a slow reader holds the writer back', async () => {
  const read: number[] = [];
  const stream = answerStream(numbers(1_000, read), async (i) => i, { maxInFlight: 3, stop: never });
  await stream.next();
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.ok(read.length <= 5, `${read.length} requests were read`);
  await stream.return(undefined);
});

test('when it is stopped, what was read is answered, then the reason is thrown', async () => {
  const stop = new AbortController();
  const gate = Promise.withResolvers<void>();
  async function* endless(): AsyncGenerator<number> {
    yield 1;
    yield 2;
    await new Promise(() => {});
  }
  const work = async (i: number) => {
    await gate.promise;
    return i;
  };
  const stream = answerStream(endless(), work, { maxInFlight: 10, stop: stop.signal });
  const first = stream.next();
  for (let turns = 0; turns < 10; turns += 1) await turn();
  stop.abort(new UnavailableError('draining'));
  for (let turns = 0; turns < 10; turns += 1) await turn();
  gate.resolve();
  assert.equal((await first).value, 1);
  assert.equal((await stream.next()).value, 2);
  await assert.rejects(stream.next(), UnavailableError);
});

test('an error of the requests or the work ends the answers', async () => {
  const failing = answerStream(numbers(3), async () => Promise.reject(new Error('work')), {
    maxInFlight: 2,
    stop: never,
  });
  await assert.rejects(failing.next(), /work/);
  async function* broken(): AsyncGenerator<number> {
    yield 1;
    throw new Error('requests');
  }
  const stream = answerStream(broken(), async (i) => i, { maxInFlight: 1, stop: never });
  assert.equal((await stream.next()).value, 1);
  await assert.rejects(stream.next(), /requests/);
});
