export * from './items.ts';
export { MilvusEngine } from './milvus-engine.ts';
export { MilvusIndex } from './milvus-index.ts';
export * from './options.ts';
