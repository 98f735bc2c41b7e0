import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AbortedError,
  AlreadyExistsError,
  FailedPreconditionError,
  InvalidInputError,
} from '@online-cnclip/foundation';
import type { GroupEvent, Joining } from './events.ts';
import { RunGroup } from './run-group.ts';

const joining = (rank: number, given: Partial<Joining> = {}): Joining => ({
  run: 'run',
  rank,
  worldSize: 2,
  instance: `instance ${rank}`,
  step: 0,
  parameters: 'same',
  fingerprint: { model: 'mini' },
  host: `host ${rank}`,
  ...given,
});

/** A replica's stream, read as its client does. */
function attend(group: RunGroup, one: Joining) {
  const leaving = new AbortController();
  const events = group.join(one, leaving.signal);
  const next = async (): Promise<GroupEvent | undefined> => (await events.next()).value ?? undefined;
  const nextOf = async <K extends GroupEvent['kind']>(kind: K): Promise<Extract<GroupEvent, { kind: K }>> => {
    for (;;) {
      const event = await next();
      if (!event) throw new Error(`the stream ended before "${kind}"`);
      if (event.kind === kind) return event as Extract<GroupEvent, { kind: K }>;
    }
  };
  const leave = async () => {
    leaving.abort();
    await next().catch(() => {});
  };
  return { nextOf, leave };
}

async function gathered(group: RunGroup, joinings: readonly Joining[]) {
  const members = joinings.map((one) => attend(group, one));
  const events = await Promise.all(members.map(({ nextOf }) => nextOf('gathered')));
  return { members, events };
}

test('the group is complete when all are there; the newest state is everyone’s', async () => {
  const group = new RunGroup();
  const first = attend(group, joining(0, { step: 4, parameters: 'older' }));
  assert.deepEqual((await first.nextOf('awaited')).ranks, [1]);
  const second = attend(group, joining(1, { step: 5, parameters: 'newer' }));
  const expected = { kind: 'gathered', generation: 1, root: 1, step: 5, behind: [0] };
  assert.deepEqual(await second.nextOf('gathered'), expected);
  assert.deepEqual(await first.nextOf('gathered'), expected);
});

test('a loss dissolves the group for the others, who gather again', async () => {
  const group = new RunGroup();
  const { members } = await gathered(group, [joining(0), joining(1)]);
  const waiting = assert.rejects(group.getValue(1, 'key', new AbortController().signal), /replica 1 is lost/);
  const finishing = assert.rejects(group.finish(1, 0, new AbortController().signal), AbortedError);
  await members[1]?.leave();
  const lost = await members[0]?.nextOf('dissolved');
  assert.deepEqual([lost?.rank, lost?.reason], [1, 'host 1 has left']);
  await Promise.all([waiting, finishing]);
  assert.throws(() => group.setValue(1, 'key', Buffer.of()), AbortedError);
  const { events } = await gathered(group, [joining(0, { step: 3 }), joining(1, { instance: 'new' })]);
  assert.deepEqual(events[0], { kind: 'gathered', generation: 2, root: 0, step: 3, behind: [1] });
});

test('values are there for who asks before and after', async () => {
  const group = new RunGroup();
  await gathered(group, [joining(0), joining(1)]);
  const { signal } = new AbortController();
  const early = group.getValue(1, 'key', signal);
  group.setValue(1, 'key', Buffer.from('value'));
  for (const value of [await early, await group.getValue(1, 'key', signal)])
    assert.equal(Buffer.from(value).toString(), 'value');
});

test('the run has ended when all have finished, and stays so', async () => {
  const group = new RunGroup();
  const { members } = await gathered(group, [joining(0), joining(1)]);
  const { signal } = new AbortController();
  await Promise.all([group.finish(1, 0, signal), group.finish(1, 1, signal)]);
  await members[1]?.leave();
  await attend(group, joining(1)).nextOf('finished');
});

for (const [what, other, message] of [
  [
    'world size',
    { worldSize: 3 },
    /replica 1 \(host 1\) and replica 0 \(host 0\) are told of different numbers of replicas: 3 and 2/,
  ],
  ['fingerprint', { fingerprint: { model: 'big' } }, /do not train the same: model "big" and "mini"/],
  ['missing fingerprint', { fingerprint: {} }, /model nothing and "mini"/],
  ['parameters', { parameters: 'other' }, /have different parameters at step 0/],
] as const)
  test(`another ${what} is an error on every replica`, async () => {
    const group = new RunGroup();
    const first = attend(group, joining(0));
    await first.nextOf('awaited');
    const isIt = (error: unknown) => error instanceof FailedPreconditionError && message.test(error.message);
    await assert.rejects(attend(group, joining(1, other)).nextOf('gathered'), isIt);
    await assert.rejects(first.nextOf('gathered'), isIt);
    await gathered(group, [joining(0), joining(1)]);
  });

test('a rank twice is an error on every replica; one that comes back is not', async () => {
  const group = new RunGroup(10);
  const { members } = await gathered(group, [joining(0), joining(1)]);
  const twice = (error: unknown) =>
    error instanceof AlreadyExistsError &&
    /two replicas have rank 1: host 1 and elsewhere/.test(error.message);
  await assert.rejects(
    attend(group, joining(1, { instance: 'x', host: 'elsewhere' })).nextOf('gathered'),
    twice,
  );
  for (const { nextOf } of members) await assert.rejects(nextOf('dissolved'), twice);
  const again = await gathered(group, [joining(0), joining(1)]);
  const back = attend(group, joining(1)).nextOf('gathered');
  await again.members[0]?.nextOf('dissolved');
  await Promise.all([attend(group, joining(0)).nextOf('gathered'), back]);
});

test('ranks and world sizes that are none are refused', async () => {
  const group = new RunGroup();
  for (const wrong of [{ rank: 2 }, { rank: -1 }, { worldSize: 0 }, { worldSize: 2 ** 31 - 1 }, { run: '' }])
    await assert.rejects(attend(group, joining(0, wrong)).nextOf('gathered'), InvalidInputError);
});
