import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createTrainerClient, type TrainerClient } from '@online-cnclip/client';
import { RunState } from '@online-cnclip/contracts/trainer/v1';
import { silentLogger } from '@online-cnclip/foundation';
import { FakeServices } from '../testing/fake-services.ts';
import type { RunEvents } from '../wire.ts';
import { RunFeeds } from './run-feeds.ts';

const fakes = new FakeServices();
let trainer: TrainerClient;
before(async () => {
  trainer = createTrainerClient(await fakes.listen());
});
after(async () => {
  trainer.close();
  await fakes.close();
});

/** As a console has it that starts now. */
function openFeeds() {
  const ending = new AbortController();
  return { feeds: new RunFeeds(trainer, silentLogger, ending.signal), ending };
}

/** Steps of the history that a page gets once it has `count` of them. */
async function stepsOf(feeds: RunFeeds, name: string, count: number): Promise<number[]> {
  for (;;) {
    const feed = await feeds.feedOf(name);
    const leaving = new AbortController();
    const { value } = await feed.follow(undefined, leaving.signal).next();
    leaving.abort();
    assert.equal(value?.name, 'history');
    const { steps } = value.data as RunEvents['history'];
    if (steps.length >= count) return steps.map(({ step }) => step);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a console that is started anew has the curves of runs that go on and of those that have ended', async () => {
  fakes.trainer.add('going on', 10);
  for (const step of [1, 2, 3]) fakes.trainer.step('going on', step, 1 / step, 1e-3);
  fakes.trainer.add('ended', 2);
  for (const step of [1, 2]) fakes.trainer.step('ended', step, 1 / step, 1e-3);
  fakes.trainer.end('ended', RunState.RUN_STATE_COMPLETED);
  const { feeds, ending } = openFeeds();
  await feeds.list();
  assert.deepEqual(await stepsOf(feeds, 'ended', 2), [1, 2]);
  assert.deepEqual(await stepsOf(feeds, 'going on', 3), [1, 2, 3]);
  while (fakes.trainer.watchers('going on') === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  fakes.trainer.step('going on', 4, 0.2, 1e-3);
  assert.deepEqual(await stepsOf(feeds, 'going on', 4), [1, 2, 3, 4]);
  ending.abort();
});
