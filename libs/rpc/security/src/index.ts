export * from './identity.ts';
export * from './policy.ts';
export { ALPN_HTTP2, TlsChannelCredentials } from './tls/channel-credentials.ts';
export type { TlsFiles } from './tls/files.ts';
export type { TlsMaterial } from './tls/material.ts';
export * from './tls/open.ts';
export { DEFAULT_POLL_INTERVAL_MS, Watched, type WatchOptions } from './tls/watched.ts';
