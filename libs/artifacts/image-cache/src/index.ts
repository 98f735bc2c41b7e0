export { type ByteDatabase, Environment, type EnvironmentOptions, StorageFullError } from './environment.ts';
export * from './image-cache.ts';
export * from './outcome.ts';
export { MAX_QUERY_CHARACTERS, normalizeQuery, requireQuery } from './query.ts';
export { importResearchCache, type ResearchImport } from './research-cache.ts';
export { looksAlike, perceptualSignature } from './signature.ts';
