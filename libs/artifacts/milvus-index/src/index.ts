export { DEFAULT_TIMEOUT_MS, type MilvusConnectionOptions } from './connection.ts';
export * from './items.ts';
export { DEFAULT_MILVUS_OPTIONS, MilvusEngine, type MilvusEngineOptions } from './milvus-engine.ts';
export { CONSISTENCY_LEVELS, type Consistency, MilvusIndex } from './milvus-index.ts';
