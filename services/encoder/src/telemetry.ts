import type { BatchObserver, ModelHost } from '@online-cnclip/encoding';
import type { MetricSpec, Telemetry } from '@online-cnclip/service-kit';

/** The encoder's own metrics, beside those of every service. */
export const ENCODER_TELEMETRY = {
  batchItems: {
    name: 'onlinecnclip_encoder_batch_items',
    help: 'Texts or images computed in one run',
    labels: ['tower'],
    buckets: [1, 2, 4, 8, 16, 32, 64],
  },
  batchWait: {
    name: 'onlinecnclip_encoder_batch_wait_seconds',
    help: 'Time that the oldest item of a run waited for it',
    labels: ['tower'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  },
  batchRun: {
    name: 'onlinecnclip_encoder_batch_run_seconds',
    help: 'Time of one run',
    labels: ['tower'],
    buckets: [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  },
  tokens: {
    name: 'onlinecnclip_encoder_computed_tokens_total',
    help: 'Positions that the text tower computed, by what they were: text, or the padding of shorter texts in a batch',
    labels: ['kind'],
  },
  model: {
    name: 'onlinecnclip_encoder_model_info',
    help: 'The model that takes the calls; always 1',
    labels: ['fingerprint', 'vision_model', 'text_model'],
  },
  queuedTexts: {
    name: 'onlinecnclip_encoder_queued_texts',
    help: 'Texts that wait or are being computed with the current model',
  },
  queuedImages: {
    name: 'onlinecnclip_encoder_queued_images',
    help: 'Images that wait, are being decoded or computed with the current model',
  },
} as const satisfies Record<string, MetricSpec>;

const MS_PER_SECOND = 1_000;

/** @returns what is to be told of each batch. */
export function observeBatches(telemetry: Telemetry): BatchObserver {
  const items = telemetry.histogram(ENCODER_TELEMETRY.batchItems);
  const wait = telemetry.histogram(ENCODER_TELEMETRY.batchWait);
  const run = telemetry.histogram(ENCODER_TELEMETRY.batchRun);
  const tokens = telemetry.counter(ENCODER_TELEMETRY.tokens);
  return (tower, batch) => {
    tokens.inc({ kind: 'text' }, batch.tokens);
    tokens.inc({ kind: 'padding' }, batch.paddingTokens);
    items.observe({ tower }, batch.items);
    wait.observe({ tower }, batch.waitMs / MS_PER_SECOND);
    run.observe({ tower }, batch.runMs / MS_PER_SECOND);
  };
}

export function observeQueues(telemetry: Telemetry, host: ModelHost): void {
  telemetry.gauge(ENCODER_TELEMETRY.queuedTexts, () => host.queued.texts);
  telemetry.gauge(ENCODER_TELEMETRY.queuedImages, () => host.queued.images);
}

export function observeModel(telemetry: Telemetry, host: ModelHost): void {
  telemetry.info(ENCODER_TELEMETRY.model, () => {
    const { fingerprint, visionModel, textModel } = host.description ?? {};
    if (fingerprint === undefined || visionModel === undefined || textModel === undefined) return undefined;
    return { fingerprint, vision_model: visionModel, text_model: textModel };
  });
}
