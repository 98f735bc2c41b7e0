import { createHash } from 'node:crypto';
import type { NamedArrays } from '@online-cnclip/foundation';
import type { ModelConfig } from '@online-cnclip/network';
import type { TrainingOptions } from '../options.ts';

/** Options that may differ between replicas: where their files are, and how many threads read them. */
const OWN_OPTIONS: ReadonlySet<string> = new Set([
  'trainData',
  'valData',
  'logs',
  'numWorkers',
  'resume',
  'clipWeightPath',
  'bertWeightPath',
  'debug',
  'cacheFolder',
  'crawlerAddress',
]);

export interface DataIdentity {
  readonly pairs: number;
  readonly images: number;
  /** Hash of ids and texts of some pairs, spread over the data set. */
  readonly sample: string;
}

/** What has to be the same on all replicas for them to train one model. */
export function trainingFingerprint(
  options: TrainingOptions,
  config: ModelConfig,
  data: DataIdentity,
): Record<string, string> {
  const shared = Object.entries(options).filter(([name]) => !OWN_OPTIONS.has(name));
  return {
    ...Object.fromEntries(shared.map(([name, value]) => [name, String(value)])),
    model: JSON.stringify(config),
    'train-data pairs': String(data.pairs),
    'train-data images': String(data.images),
    'train-data sample': data.sample,
  };
}

/** Pairs whose texts are compared. */
const SAMPLED_PAIRS = 64;

export interface SampledSource {
  readonly pairs: number;
  readonly images: number;
  pair(index: number): { readonly imageId: string; readonly textId: string; readonly text: string };
}

export function dataIdentity(source: SampledSource): DataIdentity {
  const hash = createHash('sha256');
  const stride = Math.max(1, Math.floor(source.pairs / SAMPLED_PAIRS));
  for (let index = 0; index < source.pairs; index += stride) {
    const { imageId, textId, text } = source.pair(index);
    hash.update(JSON.stringify([imageId, textId, text]));
  }
  return { pairs: source.pairs, images: source.images, sample: hash.digest('hex') };
}

/** Of names and bytes, in the order of names. */
export function hashParameters(parameters: NamedArrays): string {
  const hash = createHash('sha256');
  for (const name of [...parameters.keys()].sort()) {
    const { data } = parameters.get(name) as { readonly data: ArrayBufferView };
    hash.update(name);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
