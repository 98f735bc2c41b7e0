import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { check, fillAndCheck, type RankerProcess, startRanker } from './ranker-process.ts';

const lineOf = ({ log }: RankerProcess, message: string) => log.find(({ msg }) => msg === message);

/** The log is read from a pipe: a line comes after the answer that it belongs to. */
async function untilLogged(ranker: RankerProcess, message: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = lineOf(ranker, message);
    if (line) return line;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a ranker on the approximate engine keeps what it acknowledged, and its graph', async (context) => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'ranker-approximate-'));
  context.after(() => rm(dataFolder, { recursive: true }));
  const flags = ['--index-engine', 'approximate', '--graph-min-items', '100', '--search-threads', '1'];

  const first = await startRanker(context, dataFolder, flags);
  await fillAndCheck(first);
  await first.stop('SIGKILL');

  // Nothing of the graph was saved: it is built anew, and searches do not wait for it.
  const second = await startRanker(context, dataFolder, flags);
  await check(second);
  const built = await untilLogged(second, 'graph is complete');
  assert.deepEqual([built['items'], built['changed']], [398, 398]);
  await check(second);
  assert.equal(await second.stop('SIGTERM'), 0);
  assert.ok((await readdir(join(dataFolder, 'graphs/shop'))).includes('placed'));

  const third = await startRanker(context, dataFolder, [...flags, '--graph-memory-mapped', 'true']);
  const kept = await untilLogged(third, 'graph is complete');
  assert.deepEqual([kept['items'], kept['changed']], [398, 0]);
  await check(third);
  assert.equal(await third.stop('SIGTERM'), 0);

  // The exact engine has the same indexes.
  const fourth = await startRanker(context, dataFolder, ['--search-threads', '1']);
  await check(fourth);
  assert.equal(await fourth.stop('SIGTERM'), 0);
});
