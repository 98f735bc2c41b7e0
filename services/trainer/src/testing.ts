// Values and calls for the tests of this package.
import { Client, credentials } from '@grpc/grpc-js';
import { HEALTH_SERVICE } from '@online-cnclip/service-kit';

import type {
  AdaptOptions,
  CheckpointEvent,
  OnlineSummary,
  StepEvent,
  ValidationEvent,
} from '@online-cnclip/training';
import { parseAdaptOptions, parseTrainingOptions } from '@online-cnclip/training';
import { newRecord, type RunRecord } from './runs/run-record.ts';

export const options = (given: Record<string, unknown> = {}) =>
  parseTrainingOptions({ trainData: '/data/lmdb/train', logs: '/data/experiments', name: 'run-1', ...given });

export const record = (given: Partial<RunRecord> = {}): RunRecord => ({
  ...newRecord(options(), '/data/experiments/run-1', 1_000),
  ...given,
});

export const adaptOptions = (given: Record<string, unknown> = {}): AdaptOptions =>
  parseAdaptOptions({
    model: '/data/model.pt',
    queries: '/data/test_texts.jsonl',
    maxEpochs: 2,
    onlineCache: true,
    cacheFolder: '/data/cache',
    ...given,
  });

export const onlineSummary = (): OnlineSummary => ({
  scope: 'all',
  transductive: true,
  source: 'cache',
  steps: 4,
  queries: 10,
  pairs: 9,
  cached: 9,
  replayed: 0,
  leftOut: { 'no-results': 1 },
  seconds: 2,
  waitSeconds: 0.5,
});

/** For services that never adapt. */
export const noAdaptation = {
  launchAdaptation: () => Promise.reject(new Error('nothing is adapted')),
  serve: () => Promise.reject(new Error('nothing is served')),
};

export const stepEvent = (step: number): StepEvent => ({
  kind: 'step',
  step,
  totalSteps: 1_000,
  epoch: 1,
  totalEpochs: 2,
  loss: 1 / (step + 1),
  learningRate: 0.001,
  logitScale: 2.66,
  imageToTextAccuracy: 0.5,
  textToImageAccuracy: 0.25,
  dataSeconds: 0.01,
  stepSeconds: 0.1,
  pairsPerSecond: 640,
  etaSeconds: 12.5,
});

export const validationEvent = (step: number): ValidationEvent => ({
  kind: 'validation',
  step,
  epoch: 1,
  loss: 2.5,
  imageToTextAccuracy: 0.75,
  textToImageAccuracy: 0.5,
  recall: { recallAt1: 10, recallAt5: 20, recallAt10: 30, meanRecall: 20, queries: 100, gallery: 90 },
  seconds: 1.5,
});

export const checkpointEvent = (step: number): CheckpointEvent => ({
  kind: 'checkpoint',
  path: `/data/experiments/run-1/checkpoints/epoch_1_${step}.pt`,
  bytes: 100,
  step,
  epoch: 1,
  seconds: 0.5,
});

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING'] as const;
const bytes = (value: Buffer): Buffer => value;

/** grpc.health.v1 of the whole server. The messages are so small that their bytes are read here. */
export async function checkHealth(address: string): Promise<(typeof STATUSES)[number] | undefined> {
  const client = new Client(address, credentials.createInsecure());
  try {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    client.makeUnaryRequest(`/${HEALTH_SERVICE}/Check`, bytes, bytes, Buffer.alloc(0), (error, value) =>
      error ? reject(error) : resolve(value as Buffer),
    );
    // Field 1, an enum: tag 0x08 and its value; left out when 0.
    return STATUSES[(await promise)[1] ?? 0];
  } finally {
    client.close();
  }
}
