// Building one split's LMDB from its .tsv and .jsonl.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildDataset } from '@online-cnclip/dataset';
import { folder, serve } from '../serve.ts';
import { SPLIT_IMAGES, writeSplit } from '../work/split.ts';

const dataDir = await writeSplit(join(folder, 'split'));
const lmdbDir = join(dataDir, 'lmdb-ours');
await serve(async () => {
  await rm(lmdbDir, { recursive: true, force: true });
  const start = performance.now();
  await buildDataset({ dataDir, splits: ['train'], lmdbDir });
  return (SPLIT_IMAGES * 1000) / (performance.now() - start);
});
