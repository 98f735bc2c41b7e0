import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CancelledError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
} from '@online-cnclip/foundation';
import { type Collectives, LostReplicaError } from '../collectives.ts';
import { memoryStore } from '../testing/memory-store.ts';
import { skipWithoutGloo } from '../testing.ts';
import { connectGroup, type GroupOptions } from './connect-group.ts';

const skip = skipWithoutGloo();

async function openGroup(worldSize: number, options: Partial<GroupOptions> = {}) {
  const store = memoryStore();
  const connect = (_: unknown, rank: number) =>
    connectGroup({ rank, worldSize, store, host: '127.0.0.1', timeoutMs: 10_000, ...options });
  const group = await Promise.all(Array.from({ length: worldSize }, connect));
  const all = <T>(call: (member: Collectives) => Promise<T>) => Promise.all(group.map(call));
  return { group, all, close: () => all((member) => member.close()) };
}

/** Values whose sums over three replicas are exact. */
const valueAt = (index: number, rank: number) => (index % 97) + rank;

for (const length of [0, 1, 7, 1_000_003])
  test(`sums ${length} floats in shared memory, in place`, { skip }, async () => {
    const { all, close } = await openGroup(3);
    const buffers = await all(async (member) => {
      const buffer = new Float32Array(new SharedArrayBuffer(4 * length));
      for (let i = 0; i < length; i++) buffer[i] = valueAt(i, member.rank);
      await member.allReduceSum(buffer);
      return buffer;
    });
    for (const buffer of buffers) assert.ok(buffer.every((value, i) => value === 3 * (i % 97) + 3));
    await close();
  });

test('gathers by rank and broadcasts floats and bytes', { skip }, async () => {
  const { all, close } = await openGroup(3);
  const gathered = await all(async (member) => {
    const output = new Float32Array(6);
    await member.allGather(Float32Array.of(member.rank, -1), output);
    return output.join();
  });
  assert.deepEqual(gathered, Array(3).fill('0,-1,1,-1,2,-1'));
  const sent = await all(async (member) => {
    const floats = new Float32Array(100_003).fill(member.rank);
    const bytes = Uint8Array.of(member.rank, 7);
    await member.broadcast(floats, 2);
    await member.broadcast(bytes, 1);
    await member.barrier();
    return [floats.every((value) => value === 2), bytes.join()];
  });
  assert.deepEqual(sent, Array(3).fill([true, '1,7']));
  await close();
});

test('calls in flight keep their order; sums are the same bits everywhere', { skip }, async () => {
  const { all, close } = await openGroup(4);
  const results = await all(async (member) => {
    const buffers = Array.from({ length: 20 }, (_, call) =>
      new Float32Array(5_000).map((_, i) => Math.sin(1 + i * (call + 1) * (member.rank + 1))),
    );
    await Promise.all(buffers.map((buffer) => member.allReduceSum(buffer)));
    return Buffer.concat(buffers.map(({ buffer }) => Buffer.from(buffer))).toString('base64');
  });
  assert.equal(new Set(results).size, 1);
  await close();
});

test('two groups at once', { skip }, async () => {
  const groups = await Promise.all([openGroup(2), openGroup(2)]);
  const sums = await Promise.all(
    groups.map(({ all }, number) =>
      all(async (member) => {
        const buffer = Float32Array.of(number);
        for (let i = 0; i < 10; i++) await member.allReduceSum(buffer);
        return buffer[0];
      }),
    ),
  );
  assert.deepEqual(sums, [
    [0, 0],
    [1024, 1024],
  ]);
  await Promise.all(groups.map(({ close }) => close()));
});

test('closing rejects what waits, here and there; twice is once', { skip }, async () => {
  const { group } = await openGroup(2);
  const [first, second] = group as [Collectives, Collectives];
  const waiting = first.barrier();
  const refused = assert.rejects(waiting, FailedPreconditionError);
  await Promise.all([first.close(), first.close()]);
  await refused;
  await first.close();
  await assert.rejects(first.barrier(), /the group is closed/);
  await assert.rejects(second.barrier(), (error) => error instanceof LostReplicaError && error.rank === 0);
  await second.close();
});

test('a signal closes the group with its reason', { skip }, async () => {
  const stop = new AbortController();
  const { group } = await openGroup(2, { signal: stop.signal });
  const waiting = assert.rejects(group[0]?.barrier() as Promise<void>, CancelledError);
  stop.abort();
  await waiting;
  await assert.rejects(openGroup(2, { signal: stop.signal }), CancelledError);
});

test('calls that do not fit never meet: they end at the time-out', { skip }, async () => {
  const { all, close } = await openGroup(2, { timeoutMs: 500 });
  const outcomes = await all((member) =>
    member.allReduceSum(new Float32Array(3 + member.rank)).then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  for (const error of outcomes)
    assert.ok(error instanceof DeadlineExceededError || error instanceof LostReplicaError, String(error));
  await close();
});

test('misuse is refused before it reaches the addon', { skip }, async () => {
  const { group, close } = await openGroup(2);
  const member = group[0] as Collectives;
  const wrong = new Float64Array(2) as unknown as Float32Array;
  for (const call of [
    () => member.allReduceSum(wrong),
    () => member.allGather(new Float32Array(2), new Float32Array(5)),
    () => member.broadcast(wrong, 0),
    () => member.broadcast(new Float32Array(1), 2),
  ])
    await assert.rejects(call(), InvalidInputError);
  await close();
  const options = { rank: 0, worldSize: 2, host: '127.0.0.1', store: memoryStore(), timeoutMs: 1000 };
  for (const [given, message] of [
    [{ rank: 2 }, /rank: 2 is not a rank of a group of 2/],
    [{ worldSize: 0 }, /world-size: 0/],
    [{ timeoutMs: 0 }, /timeoutMs/],
    [{ host: 'no-such-host.invalid' }, /host: "no-such-host.invalid" does not resolve/],
  ] as const)
    await assert.rejects(
      connectGroup({ ...options, ...given }),
      (error) => error instanceof InvalidInputError && message.test(error.message),
    );
});

test('a store that fails or never answers ends the connecting', { skip }, async () => {
  const options = { rank: 0, worldSize: 2, host: '127.0.0.1', timeoutMs: 300 };
  const failing = { ...memoryStore(), get: () => Promise.reject(new Error('the leader is gone')) };
  await assert.rejects(connectGroup({ ...options, store: failing }), /the leader is gone/);
  await assert.rejects(connectGroup({ ...options, store: memoryStore() }), DeadlineExceededError);
});

test('a group of one needs no addon', async () => {
  const alone = await connectGroup({
    rank: 0,
    worldSize: 1,
    host: 'anywhere',
    store: memoryStore(),
    timeoutMs: 1,
  });
  await alone.barrier();
});
