export {
  type ClientSecurity,
  clientSecurityOf,
  openClientSecurity,
  type TlsFiles,
} from '@online-cnclip/security';
export type { CallOptions } from './call-options.ts';
export * from './client.ts';
export * from './clients.ts';
export * from './crawled-images.ts';
export * from './health.ts';
