// For settings: without Milvus's client, which takes a second and 85 MB to load.

/** Milvus's levels; only Strong promises that a search sees every change that was acknowledged before it. */
export const CONSISTENCY_LEVELS = ['Strong', 'Bounded', 'Eventually'] as const;
export type Consistency = (typeof CONSISTENCY_LEVELS)[number];

export interface MilvusConnectionOptions {
  /** host:port. */
  readonly address: string;
  /** Database of the collections; Milvus's default one when it is not given. */
  readonly database?: string | undefined;
  /** Longest time of one call. */
  readonly timeoutMs: number;
  /** Its presence means TLS: certificates that the server's must come from. */
  readonly tlsCaFile?: string | undefined;
  /** Our own certificate and key, for a server that asks for one. */
  readonly tlsCertificateFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  /** Name in the server's certificate where it is not the address's host. */
  readonly tlsServerName?: string | undefined;
  /** File of an API key, or of `user:password`. */
  readonly tokenFile?: string | undefined;
}

export interface MilvusEngineOptions extends MilvusConnectionOptions {
  /** Begins the names of our collections and aliases, so that other users of the database are left alone. */
  readonly collectionPrefix: string;
  /** Milvus's kind of index over the vectors. */
  readonly indexType: string;
  /** Whether a search waits for every change that was acknowledged before it. */
  readonly consistency: Consistency;
  /** Items of one index at most. */
  readonly maxItems: number;
}

export const DEFAULT_MILVUS_OPTIONS = {
  collectionPrefix: 'onlinecnclip_',
  /** Milvus's own choice. */
  indexType: 'AUTOINDEX',
  consistency: 'Strong',
} as const;

export const DEFAULT_TIMEOUT_MS = 10_000;
