export { MILVUS_PACKAGES, milvusEnvironment, skipWithoutMilvus } from './testing/environment.ts';
export { type MilvusServer, startMilvus } from './testing/milvus-server.ts';
