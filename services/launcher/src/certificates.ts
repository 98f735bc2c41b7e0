import { join } from 'node:path';
import type { TlsFiles } from '@online-cnclip/client';

/** Whose certificate the launcher itself shows: it starts runs, opens sessions, loads models. */
const OWN_NAME = 'operator';

/** The files that `cnclip certs init` makes for a service or a kind of caller. */
const filesOf = (certs: string, name: string): TlsFiles => ({
  certificate: join(certs, name, 'tls.crt'),
  key: join(certs, name, 'tls.key'),
  authority: join(certs, name, 'ca.crt'),
  revoked: join(certs, name, 'ca.crl'),
});

/** What the launcher calls the services with. @param certs absent for plain text. */
export const ownFiles = (certs: string | undefined): TlsFiles | undefined =>
  certs === undefined ? undefined : filesOf(certs, OWN_NAME);

/** Flags of a service; none for plain text. */
export function certificateFlags(certs: string | undefined, service: string): string[] {
  if (certs === undefined) return [];
  const { certificate, key, authority, revoked = '' } = filesOf(certs, service);
  return [
    ...['--tls-certificate', certificate, '--tls-key', key],
    ...['--tls-ca', authority, '--tls-crl', revoked],
  ];
}
