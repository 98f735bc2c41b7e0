export * from './call-trace.ts';
export * from './config.ts';
export * from './data-folder.ts';
export * from './errors.ts';
export * from './files.ts';
export * from './logging.ts';
export * from './nd-array.ts';
