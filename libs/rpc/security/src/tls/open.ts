import type { ChannelCredentials } from '@grpc/grpc-js';
import {
  type ConfigSources,
  InvalidInputError,
  type Logger,
  loadConfig,
  type Setting,
  setting,
  silentLogger,
} from '@online-cnclip/foundation';
import { z } from 'zod';
import { DEFAULT_POLICY, Policy, parsePolicy } from '../policy.ts';
import { TlsChannelCredentials } from './channel-credentials.ts';
import { pathsOf, type TlsFiles } from './files.ts';
import type { TlsMaterial } from './material.ts';
import { Watched, type WatchOptions } from './watched.ts';

const file = z.string().min(1).optional();

/** Settings of every process that speaks TLS. @param environmentOf `ONLINE_CNCLIP_ENCODER_TLS_KEY` for `TLS_KEY`. */
export function tlsSettings(environmentOf: (name: string) => string) {
  const path = (name: string, description: string) =>
    setting(environmentOf(name), file.describe(`${description} (PEM file)`));
  return {
    tlsCertificate: path('TLS_CERTIFICATE', 'own certificate; none: plain text'),
    tlsKey: path('TLS_KEY', 'its private key'),
    tlsCa: path('TLS_CA', 'certificates of the authorities to believe'),
    tlsCrl: path('TLS_CRL', 'what they have revoked; none: nothing'),
  } as const satisfies Record<string, Setting>;
}

export interface TlsConfig {
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCrl?: string | undefined;
}

/** Settings of a process that only calls: `ONLINE_CNCLIP_TLS_CERTIFICATE` and so on. */
export const clientTlsSettings = tlsSettings((name) => `ONLINE_CNCLIP_${name}`);

/**
 * @param nameOf what a setting is called where it comes from: its flag, or its environment variable.
 * @returns undefined for plain text.
 * @throws InvalidInputError naming what is missing when there is a part of it.
 */
export function tlsFilesOf(
  { tlsCertificate, tlsKey, tlsCa, tlsCrl }: TlsConfig,
  nameOf: (setting: 'tlsCertificate' | 'tlsKey' | 'tlsCa' | 'tlsCrl') => string,
): TlsFiles | undefined {
  if ([tlsCertificate, tlsKey, tlsCa, tlsCrl].every((path) => path === undefined)) return undefined;
  if (tlsCertificate !== undefined && tlsKey !== undefined && tlsCa !== undefined)
    return { certificate: tlsCertificate, key: tlsKey, authority: tlsCa, revoked: tlsCrl };
  const needed = { tlsCertificate, tlsKey, tlsCa };
  const missing = (Object.keys(needed) as (keyof typeof needed)[]).filter(
    (name) => needed[name] === undefined,
  );
  throw new InvalidInputError(`${missing.map(nameOf).join(' and ')} missing: none of them, or all three`, {
    place: 'TLS',
  });
}

/** The files, read again when they change. @throws InvalidInputError naming the file that is wrong. */
export async function openTls(files: TlsFiles, options: WatchOptions): Promise<Watched<TlsMaterial>> {
  // Reading certificates takes a tenth of a second to load: plain text does without.
  const { checkTlsFiles } = await import('./material.ts');
  return Watched.open(pathsOf(files), (contents) => checkTlsFiles(files, contents), options);
}

/** The policy in a file, read again when it changes; without one, the built-in policy. @throws InvalidInputError. */
export async function openPolicy(
  path: string | undefined,
  options: WatchOptions,
): Promise<Pick<Watched<Policy>, 'current' | 'close'>> {
  if (path === undefined) return { current: new Policy(DEFAULT_POLICY), close: () => {} };
  return Watched.open(
    [path],
    ([content]) => {
      try {
        return parsePolicy(content?.toString('utf8') ?? '');
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new InvalidInputError(reason, { place: path, cause });
      }
    },
    options,
  );
}

/** What a client connects with. */
export interface ClientSecurity {
  readonly files: TlsFiles | undefined;
  /** Undefined for plain text. */
  readonly credentials: ChannelCredentials | undefined;
  close(): void;
}

/** What a client with these files connects with; without any, plain text. @throws InvalidInputError naming the file that is wrong. */
export async function openClientSecurity(
  files: TlsFiles | undefined,
  logger: Logger = silentLogger,
): Promise<ClientSecurity> {
  if (files === undefined) return { files, credentials: undefined, close: () => {} };
  const tls = await openTls(files, { logger });
  return { files, credentials: new TlsChannelCredentials(tls), close: () => tls.close() };
}

/** The same by the environment of a process that only calls. @throws InvalidInputError naming the variable that is missing. */
export async function clientSecurityOf(environment: ConfigSources['environment']): Promise<ClientSecurity> {
  const config = loadConfig(clientTlsSettings, { environment, flags: [] });
  return openClientSecurity(tlsFilesOf(config, (name) => clientTlsSettings[name].environment));
}
