import type { BatchObserver, ModelHost } from '@online-cnclip/encoding';
import { ENCODER_TELEMETRY, type Telemetry } from '@online-cnclip/service-kit';

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
