import type { ChannelCredentials } from '@grpc/grpc-js';
import { flagOf, type Logger } from '@online-cnclip/foundation';
import {
  openPolicy,
  openTls,
  type Policy,
  TlsChannelCredentials,
  type TlsConfig,
  type TlsMaterial,
  tlsFilesOf,
  type Watched,
} from '@online-cnclip/security';
import { SECURITY_TELEMETRY, type Telemetry } from '../telemetry.ts';
import { Refusals } from './refusals.ts';

/** What a server shows and believes, and who may call it. */
export interface ServerSecurity {
  /** Undefined for plain text. */
  readonly tls: Watched<TlsMaterial> | undefined;
  readonly policy: { readonly current: Policy };
  readonly refusals: Refusals;
}

/** The security of a process, for its servers and its clients. */
export interface ProcessSecurity extends ServerSecurity {
  /** For calls to other services, as the process itself; undefined for plain text. */
  readonly credentials: ChannelCredentials | undefined;
  close(): void;
}

/** @throws InvalidInputError naming the setting that is missing, or the file that is wrong. */
export async function openProcessSecurity(
  config: TlsConfig & { readonly policyFile?: string | undefined },
  logger: Logger,
  telemetry: Telemetry,
): Promise<ProcessSecurity> {
  const files = tlsFilesOf(config, flagOf);
  const policy = await openPolicy(config.policyFile, { logger });
  const refusals = new Refusals(logger, telemetry);
  if (!files)
    return { tls: undefined, policy, refusals, credentials: undefined, close: () => policy.close() };
  const tls = await openTls(files, { logger });
  telemetry.gauge(SECURITY_TELEMETRY.expiry, () => tls.current.notAfter.getTime() / 1000);
  return {
    tls,
    policy,
    refusals,
    credentials: new TlsChannelCredentials(tls),
    close: () => {
      tls.close();
      policy.close();
    },
  };
}
