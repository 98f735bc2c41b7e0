import { DEFAULT_MAX_MESSAGE_BYTES } from '@online-cnclip/contracts';
import { type ConfigOf, LOG_LEVELS, messageOf, type Setting, setting } from '@online-cnclip/foundation';
import { tlsSettings } from '@online-cnclip/security';
import { z } from 'zod';
import { parseAddress } from './address.ts';
import { DEFAULT_PROFILE_FOLDER } from './profile.ts';
import { DEFAULT_DRAIN_TIMEOUT_MS } from './service.ts';

/** The value of `metricsAddress` for no metrics server, and of `healthAddress` for no health server of its own. */
export const METRICS_OFF = 'off';

/** A `host:port` as configuration. */
export const addressSchema = z.string().superRefine((text, context) => {
  try {
    parseAddress(text);
  } catch (error) {
    context.addIssue(messageOf(error));
  }
});

const positiveInteger = z.coerce.number().int().positive();

/** `ONLINE_CNCLIP_ENCODER_LISTEN_ADDRESS` for ('encoder', 'LISTEN_ADDRESS'). */
export const environmentName = (service: string, name: string): string =>
  `ONLINE_CNCLIP_${service.toUpperCase().replaceAll('-', '_')}_${name}`;

/** Where traces go. The environment variables are those that OpenTelemetry has for it, the same for every process. */
export const tracingSettings = {
  tracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    z
      .union([z.literal(''), z.url({ protocol: /^https?$/ })], 'is not a URL of http or https')
      .optional()
      .transform((text) => text || undefined)
      .describe('OTLP collector that traces are sent to by HTTP, http://127.0.0.1:4318; none: no traces'),
  ),
  tracesRatio: setting(
    'OTEL_TRACES_SAMPLER_ARG',
    z.coerce
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('share of the traces begun here that are kept, 0 to 1; others are kept as their caller says'),
  ),
} as const satisfies Record<string, Setting>;

/**
 * The settings of every process that listens, whatever protocol it speaks. Both servers are on loopback unless configured
 * otherwise.
 *
 * @param service `encoder`: part of the environment variables' names.
 * @param server what listens, for `--help`.
 */
export function processSettings(
  service: string,
  ports: { readonly listen: number; readonly metrics: number },
  server: string,
) {
  return {
    listenAddress: setting(
      environmentName(service, 'LISTEN_ADDRESS'),
      addressSchema.default(`127.0.0.1:${ports.listen}`).describe(`host:port of the ${server}`),
    ),
    metricsAddress: setting(
      environmentName(service, 'METRICS_ADDRESS'),
      z
        .union([z.literal(METRICS_OFF), addressSchema])
        .default(`127.0.0.1:${ports.metrics}`)
        .describe(`host:port of the Prometheus metrics, or ${METRICS_OFF}`),
    ),
    logLevel: setting(
      environmentName(service, 'LOG_LEVEL'),
      z
        .enum(LOG_LEVELS)
        .default('info')
        .describe(`one of ${LOG_LEVELS.join(', ')}`),
    ),
    drainTimeoutMs: setting(
      environmentName(service, 'DRAIN_TIMEOUT_MS'),
      positiveInteger.default(DEFAULT_DRAIN_TIMEOUT_MS).describe('time for calls to end at shutdown'),
    ),
    profileFolder: setting(
      environmentName(service, 'PROFILE_FOLDER'),
      z
        .string()
        .min(1)
        .default(DEFAULT_PROFILE_FOLDER)
        .describe('folder of the CPU profiles that SIGUSR2 asks for'),
    ),
    ...tracingSettings,
    ...tlsSettings((name) => environmentName(service, name)),
    policyFile: setting(
      environmentName(service, 'POLICY_FILE'),
      z
        .string()
        .min(1)
        .optional()
        .describe('who may call what (YAML file), where there are certificates; none: docs/security.md'),
    ),
    allowPlaintext: setting(
      environmentName(service, 'ALLOW_PLAINTEXT'),
      z
        .union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
        .default(false)
        .describe('whether to listen without certificates on other addresses than loopback'),
    ),
  } as const satisfies Record<string, Setting>;
}

/** The settings that every gRPC service has; a service spreads its own beside them. */
export function serviceSettings(
  service: string,
  ports: { readonly listen: number; readonly metrics: number },
) {
  return {
    ...processSettings(service, ports, 'gRPC server'),
    maxMessageBytes: setting(
      environmentName(service, 'MAX_MESSAGE_BYTES'),
      positiveInteger.default(DEFAULT_MAX_MESSAGE_BYTES).describe('bytes of one gRPC message at most'),
    ),
    healthAddress: setting(
      environmentName(service, 'HEALTH_ADDRESS'),
      z
        .union([z.literal(METRICS_OFF), addressSchema])
        .default(METRICS_OFF)
        .describe(
          `host:port of grpc.health.v1 in plain text and nothing else, for probes without a certificate, or ${METRICS_OFF}`,
        ),
    ),
  } as const satisfies Record<string, Setting>;
}

export type ProcessSettings = ReturnType<typeof processSettings>;
export type ProcessConfig = ConfigOf<ProcessSettings>;
export type ServiceSettings = ReturnType<typeof serviceSettings>;
export type ServiceConfig = ConfigOf<ServiceSettings>;
