import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TlsFiles } from '@online-cnclip/security';
import {
  Authority,
  CERTIFICATE_FILES,
  initCertificates,
  issueCertificate,
  type KeyedCertificate,
  revokeCertificate,
  validFor,
} from '@online-cnclip/security/certificates';

/** What somebody shows in a handshake, and whom it believes. */
export interface Shown {
  readonly cert?: string;
  readonly key?: string;
  readonly ca: string;
}

/** Certificates of every kind that a service may be shown: good ones of ours, and all the ways to be wrong. */
export interface Forgeries {
  /** Of the authority that the services believe. */
  readonly folder: string;
  readonly good: (name: string) => Shown;
  readonly bad: Readonly<
    Record<'none' | 'stranger' | 'selfSigned' | 'expired' | 'notYetValid' | 'revoked' | 'noRole', Shown>
  >;
  /** An authority that signed nothing of ours. */
  readonly otherAuthority: string;
}

const DAY_MS = 24 * 3_600_000;
const HOSTS = ['localhost', '127.0.0.1'];

export const filesIn = (folder: string): TlsFiles => ({
  certificate: join(folder, CERTIFICATE_FILES.certificate),
  key: join(folder, CERTIFICATE_FILES.key),
  authority: join(folder, CERTIFICATE_FILES.authority),
  revoked: join(folder, CERTIFICATE_FILES.revoked),
});

export async function forge(folder: string): Promise<Forgeries> {
  const names = await initCertificates(folder);
  await issueCertificate(folder, { name: 'mallory', role: 'operator', hosts: [] });
  await revokeCertificate(folder, 'mallory');
  const read = (...path: string[]): Promise<string> => readFile(join(folder, ...path), 'utf8');
  const ca = await read(CERTIFICATE_FILES.authority);
  const shown = new Map<string, Shown>();
  for (const name of [...names, 'mallory'])
    shown.set(name, {
      cert: await read(name, CERTIFICATE_FILES.certificate),
      key: await read(name, CERTIFICATE_FILES.key),
      ca,
    });
  const good = (name: string): Shown => {
    const found = shown.get(name);
    if (!found) throw new Error(`no certificate ${name}`);
    return found;
  };
  const ours = await Authority.open({ certificate: ca, key: await read('ca.key') });
  const { authority: other } = await Authority.create('online-cnclip', validFor(1));
  const issue = async (by: Authority, validity = validFor(1), role: string = 'operator'): Promise<Shown> =>
    show(await by.issue({ name: 'forged', role: role as never, hosts: HOSTS, validity }), ca);
  const { authority: self, key } = await Authority.create('self', validFor(1));
  const past = { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) };
  const future = { notBefore: new Date(Date.now() + DAY_MS), notAfter: new Date(Date.now() + 2 * DAY_MS) };
  return {
    folder,
    good,
    otherAuthority: other.certificate,
    bad: {
      none: { ca },
      stranger: await issue(other),
      selfSigned: { cert: self.certificate, key, ca },
      expired: await issue(ours, past),
      notYetValid: await issue(ours, future),
      revoked: good('mallory'),
      noRole: await issue(ours, validFor(1), 'king'),
    },
  };
}

const show = ({ certificate, key }: KeyedCertificate, ca: string): Shown => ({ cert: certificate, key, ca });

/** A folder of files for a service, of which some are others than they should be. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), content, { mode: 0o600 });
  return folder;
}
