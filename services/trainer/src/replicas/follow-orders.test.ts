import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataFolder, InvalidInputError } from '@online-cnclip/foundation';
import { optionsOf } from './follow-orders.ts';

test("a replica takes part with its own data folder in the order's paths, and in no path outside", (context) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'follow-orders-')));
  context.after(() => rmSync(folder, { recursive: true }));
  const own = new DataFolder(folder);
  const order = (trainData: string) => ({
    run: 'r',
    dataFolder: '/data',
    optionsJson: JSON.stringify({ trainData, logs: '/data', batchSize: 3 }),
  });
  const options = optionsOf(order('/data/datasets/MUGE/lmdb/train'), own);
  assert.equal(options.trainData, join(folder, 'datasets/MUGE/lmdb/train'));
  assert.equal(options.logs, folder);
  assert.equal(options.batchSize, 3);
  for (const path of ['/etc', '/data/../etc', '/database'])
    assert.throws(
      () => optionsOf(order(path), own),
      (error) => error instanceof InvalidInputError && error.place === 'trainData',
      path,
    );
});
