import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from '@online-cnclip/foundation';
import {
  openPolicy,
  openTls,
  type Policy,
  TlsChannelCredentials,
  type TlsFiles,
  type TlsMaterial,
  type Watched,
} from '@online-cnclip/security';
import { TLS_TELEMETRY } from '../metric-catalogue.ts';
import type { Telemetry } from '../telemetry.ts';
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
  /** For a process that this one starts. */
  readonly files: TlsFiles | undefined;
  /** For calls to other services, as the process itself; undefined for plain text. */
  readonly credentials: ChannelCredentials | undefined;
  close(): void;
}

/** @throws InvalidInputError naming the file that is wrong. */
export async function openProcessSecurity(
  { files, policyFile }: { readonly files: TlsFiles | undefined; readonly policyFile?: string | undefined },
  logger: Logger,
  telemetry: Telemetry,
): Promise<ProcessSecurity> {
  const policy = await openPolicy(policyFile, { logger });
  const refusals = new Refusals(logger, telemetry);
  if (!files)
    return { files, tls: undefined, policy, refusals, credentials: undefined, close: () => policy.close() };
  const tls = await openTls(files, { logger });
  telemetry.gauge(TLS_TELEMETRY.expiry, () => tls.current.notAfter.getTime() / 1000);
  return {
    files,
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
