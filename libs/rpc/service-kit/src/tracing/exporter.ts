// The only file that loads the SDK of OpenTelemetry.
import { type Logger, messageOf } from '@online-cnclip/foundation';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { type ExportResult, ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { buildInfo } from '../build-info.ts';
import { within } from '../calls.ts';
import { TRACING_TELEMETRY } from '../metric-catalogue.ts';
import type { Tracing, TracingOptions } from './start-tracing.ts';

/** Spans that wait to be sent: some MB, and seconds of a busy service. More are dropped. */
const MAX_QUEUED_SPANS = 4_096;
const MAX_BATCH_SPANS = 512;
/** Spans are sent this often, or when a batch is full. */
const SEND_EVERY_MS = 2_000;
/** A collector that takes longer for a batch is as good as down. */
const SEND_TIMEOUT_MS = 5_000;
/** Of the shutdown, for what is left: a collector that is down must not hold up a rollout. */
const FLUSH_TIMEOUT_MS = 2_000;
/** A collector that is down is said to be so once in this time. */
const WARN_EVERY_MS = 60_000;
/** A value longer than that (a message, a query) is cut. */
const MAX_ATTRIBUTE_LENGTH = 1_024;

/** Path of traces at an OTLP collector. */
const TRACES_PATH = 'v1/traces';

export function openExporter(options: TracingOptions & { readonly endpoint: string }): Tracing {
  const { service, endpoint, ratio } = options;
  const sender = new OTLPTraceExporter({ url: tracesUrl(endpoint), timeoutMillis: SEND_TIMEOUT_MS });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'online-cnclip',
      'service.name': service,
      'service.version': buildInfo.version,
      'process.pid': process.pid,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanLimits: { attributeValueLengthLimit: MAX_ATTRIBUTE_LENGTH },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new CountingExporter(sender, options),
        maxQueueSize: MAX_QUEUED_SPANS,
        maxExportBatchSize: MAX_BATCH_SPANS,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_TIMEOUT_MS,
      }),
    ],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return {
    async close() {
      for (const api of [trace, context, propagation]) api.disable();
      if (!(await within(provider.shutdown(), FLUSH_TIMEOUT_MS)))
        throw new Error(`the collector did not take them within ${FLUSH_TIMEOUT_MS} ms`);
    },
  };
}

/** As the specification has it: the endpoint is the base of every signal's path. */
function tracesUrl(endpoint: string): string {
  return new URL(TRACES_PATH, endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href;
}

/** Counts what was sent and what was not, and says so in the log now and then. */
class CountingExporter implements SpanExporter {
  readonly #sender: SpanExporter;
  readonly #logger: Logger;
  readonly #count: (result: 'sent' | 'lost', spans: number) => void;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(sender: SpanExporter, { logger, telemetry }: Pick<TracingOptions, 'logger' | 'telemetry'>) {
    this.#sender = sender;
    this.#logger = logger;
    const counter = telemetry?.counter(TRACING_TELEMETRY.spans);
    this.#count = (result, spans) => counter?.inc({ result }, spans);
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#sender.export(spans, (result) => {
      const isSent = result.code === ExportResultCode.SUCCESS;
      this.#count(isSent ? 'sent' : 'lost', spans.length);
      if (!isSent) this.#warn(spans.length, result.error);
      // The processor has nothing to add to what was said here.
      done({ code: ExportResultCode.SUCCESS });
    });
  }

  shutdown(): Promise<void> {
    return this.#sender.shutdown();
  }

  #warn(spans: number, error: unknown): void {
    const now = performance.now();
    if (now - this.#warnedAt < WARN_EVERY_MS) return;
    this.#warnedAt = now;
    this.#logger.warn({ spans, reason: messageOf(error) }, 'spans could not be sent');
  }
}
