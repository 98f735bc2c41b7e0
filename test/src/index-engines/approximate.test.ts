import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import {
  ApproximateEngine,
  DEFAULT_APPROXIMATE_OPTIONS,
  GRAPH_PRECISIONS,
} from '@online-cnclip/approximate-index';
import { ExactEngine } from '@online-cnclip/embedding-index';
import { silentLogger } from '@online-cnclip/foundation';
import type { Filter, VectorEngine } from '@online-cnclip/retrieval';
import { testEngineContract } from './contract.ts';

const root = await mkdtemp(join(tmpdir(), 'approximate-engine-'));
after(() => rm(root, { recursive: true }));

// From the first item on there is a graph, and searches do not wait for it to be complete: both ways of answering are tested.
for (const precision of GRAPH_PRECISIONS)
  testEngineContract({
    name: `approximate, ${precision}`,
    openStore: async (store): Promise<VectorEngine> => {
      const folder = join(root, precision, store);
      const source = await ExactEngine.open({ folder: join(folder, 'indexes'), threads: 1 });
      return new ApproximateEngine<Filter>(source, {
        ...DEFAULT_APPROXIMATE_OPTIONS,
        precision,
        threads: 1,
        minItems: 1,
        folder: join(folder, 'graphs'),
        logger: silentLogger,
      });
    },
    minRecall: 0.9,
  });
