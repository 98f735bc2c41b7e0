import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { loadEncoderModel, ModelHost, type ModelHostOptions } from '@online-cnclip/encoding';
import type { ConfigOf } from '@online-cnclip/foundation';
import { MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS } from '@online-cnclip/preprocessing';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import {
  type Composition,
  type CompositionContext,
  implement,
  traceOfCall,
} from '@online-cnclip/service-kit';
import { encoderCosts } from './costs.ts';
import { createHandlers } from './handlers.ts';
import type { encoderSettings } from './settings.ts';
import { observeBatches, observeModel, observeQueues } from './telemetry.ts';

export type EncoderConfig = ConfigOf<typeof encoderSettings>;

/** Wires the service. Without a configured checkpoint it waits, not serving, for LoadModel. */
export async function composeEncoder(context: CompositionContext<EncoderConfig>): Promise<Composition> {
  const { config, logger, telemetry, health, shutdown } = context;
  const host = new ModelHost({
    dataFolder: config.dataFolder,
    contextLength: config.contextLength,
    load: loaderOf(config, observeBatches(telemetry)),
    onLoaded: () => health.setServing(true),
    logger,
  });
  observeQueues(telemetry, host);
  observeModel(telemetry, host);
  const limits = {
    maxMessageBytes: config.maxMessageBytes,
    maxImageBytes: MAX_IMAGE_BYTES,
    maxImagePixels: MAX_IMAGE_PIXELS,
  };
  return {
    implementations: [implement(EncoderServiceService, createHandlers({ host, limits }), encoderCosts(host))],
    async start() {
      const { checkpoint, visionModel, textModel } = config;
      if (checkpoint === undefined) logger.info('no checkpoint configured: waiting for LoadModel');
      else await host.load({ checkpointPath: checkpoint, visionModel, textModel }, shutdown);
    },
    close: () => host.close(),
  };
}

/**
 * Computing takes every core there is. The thread that takes calls in, and refuses those that are too many, needs little of one,
 * but at once.
 */
const COMPUTE_NICENESS = 10;

function loaderOf(
  { vocabulary, computeThreads, decodeThreads, device, precision }: EncoderConfig,
  onBatch: ReturnType<typeof observeBatches>,
): ModelHostOptions['load'] {
  return ({ absolutePath, ...request }, signal) =>
    loadEncoderModel({
      ...request,
      path: absolutePath,
      signal,
      vocabularyPath: vocabulary,
      createRuntime: () =>
        createOnnxRuntime({
          device,
          niceness: COMPUTE_NICENESS,
          ...(computeThreads === undefined ? {} : { threads: computeThreads }),
        }),
      precision,
      decodeThreads,
      onBatch,
      traceOfCall,
    });
}
