import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { skipWithoutMilvus, startMilvus } from '@online-cnclip/milvus-index/testing';
import { check, fillAndCheck, startRanker } from '../index-engines/ranker-process.ts';
import { untilAvailable } from './until-available.ts';

test('two rankers on one Milvus server share its indexes, and outlive it', {
  skip: skipWithoutMilvus(),
}, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'ranker-milvus-'));
  context.after(() => rm(folder, { recursive: true }));
  let milvus = await startMilvus(join(folder, 'milvus'));
  context.after(() => milvus.stop());
  const flags = ['--index-engine', 'milvus', '--milvus-address', milvus.address];
  const one = await startRanker(context, join(folder, 'one'), flags);
  await fillAndCheck(one);
  const two = await startRanker(context, join(folder, 'two'), flags);
  await check(two);
  assert.equal(await one.stop('SIGTERM'), 0);

  await milvus.kill();
  milvus = await startMilvus(join(folder, 'milvus'), Number(milvus.address.split(':')[1]));
  // The client tries again while its server answers UNAVAILABLE.
  await untilAvailable(() => check(two));
  assert.equal(await two.stop('SIGTERM'), 0);
});
