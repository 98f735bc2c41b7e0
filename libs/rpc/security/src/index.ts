export * from './certificates/authority.ts';
export * from './certificates/folder.ts';
export * from './certificates/services.ts';
export * from './identity.ts';
