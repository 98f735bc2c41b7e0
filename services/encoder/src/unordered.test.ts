import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapUnordered } from './unordered.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const anyCost = { maxItems: 4, maxCost: 100, costOf: (item: number) => item };

async function* numbers(count: number, onTaken: (item: number) => void = () => {}): AsyncGenerator<number> {
  for (let item = 0; item < count; item++) {
    onTaken(item);
    yield item;
  }
}

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

test('every item is answered once, in the order the work ends', async () => {
  const results = await collect(
    mapUnordered(numbers(4), anyCost, async (item) => {
      await sleep((4 - item) * 10);
      return item;
    }),
  );
  assert.deepEqual(results, [3, 2, 1, 0]);
  const many = await collect(mapUnordered(numbers(500), anyCost, async (item) => item));
  assert.equal(new Set(many).size, 500);
});

test('no more items are in work or waiting to be taken than the limits say', async () => {
  let taken = 0;
  const results = mapUnordered(
    numbers(20, () => taken++),
    { ...anyCost, costOf: () => 0 },
    async (item) => item,
  );
  await results.next();
  await turn();
  await turn();
  assert.ok(taken <= 6, `${taken} items taken while nobody reads`);
  assert.equal((await collect(results)).length, 19);
});

test('an item beyond the whole cost limit goes alone', async () => {
  let [running, most] = [0, 0];
  const limits = { maxItems: 10, maxCost: 5, costOf: () => 50 };
  const results = await collect(
    mapUnordered(numbers(5), limits, async (item) => {
      most = Math.max(most, ++running);
      await turn();
      running -= 1;
      return item;
    }),
  );
  assert.equal(results.length, 5);
  assert.equal(most, 1);
});

test('an error of the work or of the stream ends it, and leaves no rejection unheard', async () => {
  const work = mapUnordered(numbers(10), anyCost, async (item) => {
    if (item === 2) throw new Error('bad work');
    return item;
  });
  await assert.rejects(collect(work), /bad work/);
  async function* broken(): AsyncGenerator<number> {
    yield 1;
    throw new Error('bad stream');
  }
  await assert.rejects(collect(mapUnordered(broken(), anyCost, async (item) => item)), /bad stream/);
});

test('a reader that leaves stops the taking', async () => {
  let taken = 0;
  for await (const _ of mapUnordered(
    numbers(1000, () => taken++),
    anyCost,
    async (item) => item,
  ))
    break;
  await sleep(5);
  assert.ok(taken < 20, `${taken} items taken`);
});
