import { type Logger, messageOf } from '@online-cnclip/foundation';
import type { Telemetry } from '../telemetry.ts';
import { switchTracing } from './spans.ts';

export interface TracingOptions {
  /** `encoder`. */
  readonly service: string;
  /** Where an OTLP collector takes HTTP, `http://127.0.0.1:4318`; undefined for no tracing. */
  readonly endpoint: string | undefined;
  /** Share (0 to 1) of the traces begun here that are kept; those begun elsewhere are kept where they were there. */
  readonly ratio: number;
  readonly logger: Logger;
  readonly telemetry?: Telemetry;
}

export interface Tracing {
  /** Sends what is left, for a bounded time. */
  close(): Promise<void>;
}

const OFF: Tracing = { close: async () => {} };

/**
 * Sends the spans of this process to a collector from now on. Once per process. What cannot be sent is dropped and counted:
 * no call ever waits for the collector, or fails because of it.
 */
export async function startTracing({ endpoint, ...options }: TracingOptions): Promise<Tracing> {
  if (endpoint === undefined) return OFF;
  // The SDK takes a quarter of a second to load: only who wants it waits for it.
  const { openExporter } = await import('./exporter.ts');
  const exporter = openExporter({ endpoint, ...options });
  switchTracing(true);
  return {
    close: async () => {
      switchTracing(false);
      await exporter
        .close()
        .catch((error: unknown) =>
          options.logger.warn({ reason: messageOf(error) }, 'the last spans are lost'),
        );
    },
  };
}
