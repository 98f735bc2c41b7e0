import { join } from 'node:path';
import { ApproximateEngine } from '@online-cnclip/approximate-index';
import { ExactEngine } from '@online-cnclip/embedding-index';
import type { Logger } from '@online-cnclip/foundation';
import type { Filter, VectorEngine } from '@online-cnclip/retrieval';
import type { RankerConfig } from './settings.ts';

/** Folders of the embedded engines' indexes, and of their graphs, in the data folder. */
const INDEX_FOLDER = 'indexes';
const GRAPH_FOLDER = 'graphs';

export interface IndexEngineHooks {
  readonly logger: Logger;
  /** Called with the time that making changes durable took. */
  readonly onCommitted: (durationMs: number) => void;
}

/** Opens the engine that the settings name. */
export async function openIndexEngine(
  config: RankerConfig,
  dataFolder: string,
  hooks: IndexEngineHooks,
): Promise<VectorEngine> {
  switch (config.indexEngine) {
    case 'milvus':
      return openMilvus(config);
    case 'approximate':
      return openApproximate(config, dataFolder, hooks);
    default:
      return openExact(config, dataFolder, hooks);
  }
}

function openExact(config: RankerConfig, dataFolder: string, hooks: IndexEngineHooks): Promise<ExactEngine> {
  return ExactEngine.open({
    folder: join(dataFolder, INDEX_FOLDER),
    maxItems: config.maxIndexItems,
    ...(config.searchThreads !== undefined && { threads: config.searchThreads }),
    ...hooks,
  });
}

/** The same indexes, so that a ranker may change between the two. */
async function openApproximate(
  config: RankerConfig,
  dataFolder: string,
  hooks: IndexEngineHooks,
): Promise<VectorEngine> {
  return new ApproximateEngine<Filter>(await openExact(config, dataFolder, hooks), {
    folder: join(dataFolder, GRAPH_FOLDER),
    precision: config.graphPrecision,
    connectivity: config.graphConnectivity,
    expansionAdd: config.graphExpansionAdd,
    expansionSearch: config.graphExpansionSearch,
    minItems: config.graphMinItems,
    memoryMapped: config.graphMemoryMapped,
    ...(config.searchThreads !== undefined && { threads: config.searchThreads }),
    logger: hooks.logger,
  });
}

async function openMilvus(config: RankerConfig): Promise<VectorEngine> {
  // Loaded by those who use it: its client is large.
  const { MilvusEngine } = await import('@online-cnclip/milvus-index');
  return new MilvusEngine({
    address: config.milvusAddress,
    database: config.milvusDatabase,
    collectionPrefix: config.milvusCollectionPrefix,
    indexType: config.milvusIndexType,
    consistency: config.milvusConsistency,
    timeoutMs: config.milvusTimeoutMs,
    maxItems: config.maxIndexItems,
    tlsCaFile: config.milvusTlsCaFile,
    tlsCertificateFile: config.milvusTlsCertificateFile,
    tlsKeyFile: config.milvusTlsKeyFile,
    tlsServerName: config.milvusTlsServerName,
    tokenFile: config.milvusTokenFile,
  });
}
