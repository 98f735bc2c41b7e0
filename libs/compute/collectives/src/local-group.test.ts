import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineExceededError, FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import { type Collectives, LostReplicaError } from './collectives.ts';
import { localGroup } from './local-group.ts';
import { singleReplica } from './single-replica.ts';

const everywhere = <T>(group: readonly Collectives[], call: (member: Collectives) => Promise<T>) =>
  Promise.all(group.map(call));

test('sums, gathers, broadcasts and waits', async () => {
  const group = localGroup(3);
  const sums = await everywhere(group, async (member) => {
    const buffer = Float32Array.of(member.rank, 1);
    await member.allReduceSum(buffer);
    return [...buffer];
  });
  assert.deepEqual(sums, [
    [3, 3],
    [3, 3],
    [3, 3],
  ]);
  const gathered = await everywhere(group, async (member) => {
    const output = new Float32Array(6);
    await member.allGather(Float32Array.of(member.rank, -member.rank), output);
    return output.join();
  });
  assert.deepEqual(gathered, ['0,0,1,-1,2,-2', '0,0,1,-1,2,-2', '0,0,1,-1,2,-2']);
  const copies = await everywhere(group, async (member) => {
    const array = Uint8Array.of(member.rank);
    await member.broadcast(array, 2);
    await member.barrier();
    return array[0];
  });
  assert.deepEqual(copies, [2, 2, 2]);
});

test('one replica is a group', async () => {
  const alone = singleReplica();
  const buffer = Float32Array.of(1, 2);
  const output = new Float32Array(2);
  await alone.allReduceSum(buffer);
  await alone.allGather(buffer, output);
  await alone.broadcast(buffer, 0);
  await alone.barrier();
  assert.deepEqual([...output], [1, 2]);
  await assert.rejects(alone.broadcast(buffer, 1), InvalidInputError);
  await alone.close();
  await assert.rejects(alone.barrier(), FailedPreconditionError);
});

test('a replica that leaves rejects the calls of the others, now and later', async () => {
  const [first, second] = localGroup(2) as [Collectives, Collectives];
  const waiting = first.barrier();
  await second.close();
  await second.close();
  const isLost = (error: unknown) => error instanceof LostReplicaError && error.rank === 1;
  await assert.rejects(waiting, isLost);
  await assert.rejects(first.barrier(), isLost);
  await assert.rejects(second.barrier(), FailedPreconditionError);
});

test('a replica that does not come is waited for until the time-out', async () => {
  const [first] = localGroup(2, { timeoutMs: 20 });
  await assert.rejects(first?.barrier() as Promise<void>, DeadlineExceededError);
});

test('calls that do not fit are refused', async () => {
  const [first, second] = localGroup(2) as [Collectives, Collectives];
  await assert.rejects(
    first.allGather(new Float32Array(2), new Float32Array(3)),
    (error) => error instanceof InvalidInputError && /output: has 3 .* 2 times 2/.test(error.message),
  );
  await assert.rejects(first.allReduceSum([] as unknown as Float32Array), InvalidInputError);
  const different = [first.allReduceSum(new Float32Array(2)), second.allReduceSum(new Float32Array(3))];
  for (const call of different) await assert.rejects(call, /allReduceSum of 3 where .* allReduceSum of 2/);
});
