import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEFAULT_MILVUS_OPTIONS, MilvusEngine } from '@online-cnclip/milvus-index';
import { type MilvusServer, skipWithoutMilvus, startMilvus } from '@online-cnclip/milvus-index/testing';
import { testEngineContract } from '../index-engines/contract.ts';

const skip = skipWithoutMilvus();
if (skip) test('Milvus', { skip });
else {
  const folder = await mkdtemp(join(tmpdir(), 'milvus-'));
  let server: MilvusServer | undefined;
  before(async () => {
    server = await startMilvus(folder);
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true });
  });
  testEngineContract({
    name: 'Milvus',
    openStore: async (store) =>
      new MilvusEngine({
        ...DEFAULT_MILVUS_OPTIONS,
        address: server?.address ?? '',
        collectionPrefix: `${store.replaceAll('-', '_')}_`,
        maxItems: 10_000,
        timeoutMs: 30_000,
      }),
    minRecall: 1,
  });
}
