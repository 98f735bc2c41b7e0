export * from './authority.ts';
export * from './folder.ts';
export * from './services.ts';
