import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { ExactEngine } from '@online-cnclip/embedding-index';
import { testEngineContract } from './contract.ts';

const root = await mkdtemp(join(tmpdir(), 'exact-engine-'));
after(() => rm(root, { recursive: true }));

testEngineContract({
  name: 'exact',
  openStore: (store) => ExactEngine.open({ folder: join(root, store), threads: 1 }),
  minRecall: 1,
});
