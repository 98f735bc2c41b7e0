import { CrawlerServiceService } from '@online-cnclip/contracts/crawler/v1';
import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { RankerServiceService } from '@online-cnclip/contracts/ranker/v1';
import { TrainerServiceService } from '@online-cnclip/contracts/trainer/v1';
import { type ClientOptions, createServiceClient, type ServiceClient } from './client.ts';

export type CrawlerClient = ServiceClient<typeof CrawlerServiceService>;
export type EncoderClient = ServiceClient<typeof EncoderServiceService>;
export type RankerClient = ServiceClient<typeof RankerServiceService>;
export type TrainerClient = ServiceClient<typeof TrainerServiceService>;

/** Reading, tracing and preparing the largest model takes minutes on two cores. */
const LOAD_MODEL_TIMEOUT_MS = 10 * 60_000;

/** A run may be in the middle of a validation when it is asked to stop, and a checkpoint has gigabytes. */
const STOP_RUN_TIMEOUT_MS = 10 * 60_000;

/** A gallery is uploaded in one call, and its images are encoded on the way. */
const UPSERT_TIMEOUT_MS = Number.POSITIVE_INFINITY;

/** Ensembles read score matrices of gigabytes. */
const ENSEMBLE_TIMEOUT_MS = 10 * 60_000;

/** A drain waits for queries that are seconds apart. */
const DRAIN_TIMEOUT_MS = Number.POSITIVE_INFINITY;

/**
 * Reads and pure computing. Not those that make, change or end something, whose second time may find the first; nor
 * streams of requests, which cannot be sent again.
 */
const SAFE_METHODS = {
  crawler: ['watchSession', 'listSessions', 'checkBrowser', 'getImages', 'listFailures'],
  encoder: ['getModel', 'tokenize', 'encodeText', 'encodeImage'],
  ranker: ['getIndex', 'listIndexes', 'search', 'ensemble', 'evaluate'],
  trainer: ['watchRun', 'getRun', 'listRuns', 'getRunHistory', 'listCheckpoints'],
} as const;

export function createCrawlerClient(
  address: string,
  options: ClientOptions<typeof CrawlerServiceService> = {},
): CrawlerClient {
  const methodTimeoutsMs = { drain: DRAIN_TIMEOUT_MS, ...options.methodTimeoutsMs };
  return createServiceClient(CrawlerServiceService, address, {
    safeMethods: SAFE_METHODS.crawler,
    ...options,
    methodTimeoutsMs,
  });
}

export function createEncoderClient(
  address: string,
  options: ClientOptions<typeof EncoderServiceService> = {},
): EncoderClient {
  const methodTimeoutsMs = { loadModel: LOAD_MODEL_TIMEOUT_MS, ...options.methodTimeoutsMs };
  return createServiceClient(EncoderServiceService, address, {
    safeMethods: SAFE_METHODS.encoder,
    ...options,
    methodTimeoutsMs,
  });
}

export function createRankerClient(
  address: string,
  options: ClientOptions<typeof RankerServiceService> = {},
): RankerClient {
  const slow = { upsertItems: UPSERT_TIMEOUT_MS, ensemble: ENSEMBLE_TIMEOUT_MS };
  const methodTimeoutsMs = { ...slow, ...options.methodTimeoutsMs };
  return createServiceClient(RankerServiceService, address, {
    safeMethods: SAFE_METHODS.ranker,
    ...options,
    methodTimeoutsMs,
  });
}

export function createTrainerClient(
  address: string,
  options: ClientOptions<typeof TrainerServiceService> = {},
): TrainerClient {
  const methodTimeoutsMs = {
    stopRun: STOP_RUN_TIMEOUT_MS,
    rollBackModel: LOAD_MODEL_TIMEOUT_MS,
    ...options.methodTimeoutsMs,
  };
  return createServiceClient(TrainerServiceService, address, {
    safeMethods: SAFE_METHODS.trainer,
    ...options,
    methodTimeoutsMs,
  });
}
