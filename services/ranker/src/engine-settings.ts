import { DEFAULT_APPROXIMATE_OPTIONS, GRAPH_PRECISIONS } from '@online-cnclip/approximate-index';
import { setting } from '@online-cnclip/foundation';
import {
  CONSISTENCY_LEVELS,
  DEFAULT_MILVUS_OPTIONS,
  DEFAULT_TIMEOUT_MS,
} from '@online-cnclip/milvus-index/options';
import { addressSchema } from '@online-cnclip/service-kit';
import { z } from 'zod';

export const INDEX_ENGINES = ['exact', 'approximate', 'milvus'] as const;

const count = z.coerce.number().int().positive();
const text = z.string().min(1);
const yesOrNo = z.union([z.boolean(), z.stringbool()]);

/** Which engine keeps the indexes. @param environment gives a setting's variable. */
export const engineSettings = (environment: (name: string) => string) => ({
  indexEngine: setting(
    environment('INDEX_ENGINE'),
    z
      .enum(INDEX_ENGINES)
      .default('exact')
      .describe(
        'what keeps the indexes: exact; approximate (the same, and a graph beside large ones); milvus (a server)',
      ),
  ),
  ...graphSettings(environment),
  ...milvusSettings(environment),
});

const graphSettings = (environment: (name: string) => string) => ({
  graphPrecision: setting(
    environment('GRAPH_PRECISION'),
    z
      .enum(GRAPH_PRECISIONS)
      .default(DEFAULT_APPROXIMATE_OPTIONS.precision)
      .describe("numbers of the approximate engine's graphs: 4, 2 or 1 bytes each"),
  ),
  graphConnectivity: setting(
    environment('GRAPH_CONNECTIVITY'),
    count.default(DEFAULT_APPROXIMATE_OPTIONS.connectivity).describe('neighbours per item in a graph'),
  ),
  graphExpansionAdd: setting(
    environment('GRAPH_EXPANSION_ADD'),
    count
      .default(DEFAULT_APPROXIMATE_OPTIONS.expansionAdd)
      .describe('items looked at to place one in a graph'),
  ),
  graphExpansionSearch: setting(
    environment('GRAPH_EXPANSION_SEARCH'),
    count
      .default(DEFAULT_APPROXIMATE_OPTIONS.expansionSearch)
      .describe('items looked at in a graph to answer a query, at least'),
  ),
  graphMinItems: setting(
    environment('GRAPH_MIN_ITEMS'),
    count
      .default(DEFAULT_APPROXIMATE_OPTIONS.minItems)
      .describe('items from which on an index of the approximate engine has a graph'),
  ),
  graphMemoryMapped: setting(
    environment('GRAPH_MEMORY_MAPPED'),
    yesOrNo
      .default(DEFAULT_APPROXIMATE_OPTIONS.memoryMapped)
      .describe('map saved graphs instead of loading them, until their next change'),
  ),
});

const milvusSettings = (environment: (name: string) => string) => ({
  milvusAddress: setting(
    environment('MILVUS_ADDRESS'),
    addressSchema.default('127.0.0.1:19530').describe('host:port of the Milvus server'),
  ),
  milvusDatabase: setting(
    environment('MILVUS_DATABASE'),
    text.optional().describe("database there; none: Milvus's default one"),
  ),
  milvusCollectionPrefix: setting(
    environment('MILVUS_COLLECTION_PREFIX'),
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,31}$/)
      .default(DEFAULT_MILVUS_OPTIONS.collectionPrefix)
      .describe('begins the names of our collections there'),
  ),
  milvusIndexType: setting(
    environment('MILVUS_INDEX_TYPE'),
    text
      .default(DEFAULT_MILVUS_OPTIONS.indexType)
      .describe("Milvus's kind of index over vectors, for new indexes"),
  ),
  milvusConsistency: setting(
    environment('MILVUS_CONSISTENCY'),
    z
      .enum(CONSISTENCY_LEVELS)
      .default(DEFAULT_MILVUS_OPTIONS.consistency)
      .describe('Strong: a search sees every change acknowledged before it; others are quicker'),
  ),
  milvusTimeoutMs: setting(
    environment('MILVUS_TIMEOUT_MS'),
    count.default(DEFAULT_TIMEOUT_MS).describe('longest time of one call to Milvus'),
  ),
  milvusTlsCaFile: setting(
    environment('MILVUS_TLS_CA_FILE'),
    text.optional().describe("authorities of Milvus's certificate (PEM); none: no TLS"),
  ),
  milvusTlsCertificateFile: setting(
    environment('MILVUS_TLS_CERTIFICATE_FILE'),
    text.optional().describe('our certificate for Milvus (PEM), where it asks for one'),
  ),
  milvusTlsKeyFile: setting(
    environment('MILVUS_TLS_KEY_FILE'),
    text.optional().describe('its private key (PEM)'),
  ),
  milvusTlsServerName: setting(
    environment('MILVUS_TLS_SERVER_NAME'),
    text.optional().describe("name in Milvus's certificate where it is not the address's host"),
  ),
  milvusTokenFile: setting(
    environment('MILVUS_TOKEN_FILE'),
    text.optional().describe('file of the API key, or of user:password'),
  ),
});
