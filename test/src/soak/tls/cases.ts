import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHealthClient } from '@online-cnclip/client';
import { messageOf, silentLogger } from '@online-cnclip/foundation';
import { openTls, TlsChannelCredentials } from '@online-cnclip/security';
import { Authority, CERTIFICATE_FILES, validFor } from '@online-cnclip/security/certificates';
import { type Forgeries, filesIn, writeFiles } from './certificates.ts';
import { type Answer, callInPlainText, callWith, readMetrics, sendNoise } from './probe.ts';
import type { Subject } from './subjects.ts';

/** Something that must not be let in. */
export interface Case {
  readonly name: string;
  /** Undefined where it has no meaning for the service. */
  try(subject: Subject, forgeries: Forgeries): Promise<Answer | undefined>;
  /** What the one who tries must see: the connection ends, or this. */
  readonly refusal?: RegExp;
  /** What the service must log; absent where only the other side knows why. */
  readonly logged?: RegExp;
}

/** The connection is ended, in one of the ways in which that is seen. */
const ENDED = /^(closed|ECONNRESET|EPIPE|EPROTO|ERR_SSL_\w+|ERR_HTTP2_\w+|socket hang up)$/;
const UNAUTHENTICATED = /^(grpc 16|http 401)$/;
const DENIED = /^(grpc 7|http 403)$/;
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

/** OpenSSL has these versions switched off unless one asks for their weak signatures. */
const OLD_TLS = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
const TLS_1_2 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

type Bad = keyof Forgeries['bad'];

/** The same certificate, on both doors. */
const withCertificate = (name: string, bad: Bad, logged: RegExp, refusal = ENDED): readonly Case[] => [
  {
    name,
    refusal,
    logged,
    try: async ({ sample, address }, forgeries) =>
      sample && callWith(address, sample.path, forgeries.bad[bad]),
  },
  {
    name: `${name}, for metrics`,
    refusal,
    logged,
    try: ({ metrics }, forgeries) => readMetrics(metrics, forgeries.bad[bad]),
  },
];

const rpc = (
  name: string,
  ask: (
    subject: Subject & { sample: NonNullable<Subject['sample']> },
    forgeries: Forgeries,
  ) => Promise<Answer>,
  logged?: RegExp,
  refusal = ENDED,
): Case => ({
  name,
  refusal,
  ...(logged && { logged }),
  try: async (subject, forgeries) => {
    const { sample } = subject;
    return sample && ask({ ...subject, sample }, forgeries);
  },
});

export const CASES: readonly Case[] = [
  ...withCertificate('no client certificate', 'none', /no client certificate/),
  ...withCertificate('of another authority', 'stranger', /UNABLE_TO_(GET_ISSUER|VERIFY)/),
  ...withCertificate('self-signed', 'selfSigned', /client certificate: (UNABLE_TO_GET_CRL|\w*SELF_SIGNED)/),
  ...withCertificate('expired', 'expired', /CERT_HAS_EXPIRED/),
  ...withCertificate('not yet valid', 'notYetValid', /CERT_NOT_YET_VALID/),
  ...withCertificate('revoked', 'revoked', /CERT_REVOKED/),
  ...withCertificate('of no role', 'noRole', /names no role/, UNAUTHENTICATED),
  rpc(
    'of another role',
    ({ address, sample }, { good }) => callWith(address, sample.path, good(sample.mayNot)),
    /the role \w+ may not call/,
    DENIED,
  ),
  {
    name: 'metrics by a client',
    refusal: DENIED,
    logged: /the role client may not call metrics/,
    try: ({ metrics }, { good }) => readMetrics(metrics, good('client')),
  },
  {
    name: 'plain text, for metrics',
    refusal: ENDED,
    logged: /ERR_SSL_HTTP_REQUEST/,
    try: ({ metrics }) =>
      fetch(`http://${metrics}/metrics`).then(
        ({ status }) => `http ${status}`,
        () => 'closed',
      ),
  },
  rpc('plain text', ({ address, sample }) => callInPlainText(address, sample.path), /handshake: ERR_SSL_/),
  rpc('noise', ({ address }) => sendNoise(address), /handshake: ERR_SSL_/),
  rpc(
    'TLS 1.1',
    ({ address, sample }, { good }) => callWith(address, sample.path, good(sample.may), OLD_TLS),
    /handshake: ERR_SSL_UNSUPPORTED_PROTOCOL/,
  ),
  rpc(
    'TLS 1.2',
    ({ address, sample }, { good }) => callWith(address, sample.path, good(sample.may), TLS_1_2),
    /handshake: ERR_SSL_UNSUPPORTED_PROTOCOL/,
  ),
  {
    name: 'TLS 1.2, for metrics',
    refusal: ENDED,
    logged: /handshake: ERR_SSL_UNSUPPORTED_PROTOCOL/,
    try: ({ metrics }, { good }) => readMetrics(metrics, good('scraper'), TLS_1_2),
  },
  rpc(
    'HTTP/1.1',
    ({ address, sample }, { good }) =>
      callWith(address, sample.path, good(sample.may), { alpn: ['http/1.1'] }),
    /handshake: ERR_SSL_NO_APPLICATION_PROTOCOL/,
  ),
  rpc(
    'no protocol agreed on',
    ({ address, sample }, { good }) => callWith(address, sample.path, good(sample.may), { alpn: [] }),
    /does not speak HTTP\/2/,
  ),
  rpc(
    'reflection by a client',
    ({ address }, { good }) => callWith(address, REFLECTION, good('client')),
    /the role client may not call grpc\.reflection/,
    DENIED,
  ),
  rpc(
    'reflection by a stranger',
    ({ address }, { bad }) => callWith(address, REFLECTION, bad.stranger),
    /UNABLE_TO_(GET_ISSUER|VERIFY)/,
  ),
  rpc(
    'another server name',
    ({ address, sample }, { good }) =>
      callWith(address, sample.path, good(sample.may), { servername: 'shop.example.com' }),
    undefined,
    /ERR_TLS_CERT_ALTNAME_INVALID/,
  ),
  rpc(
    'a server of another authority',
    ({ address, sample }, { good, otherAuthority }) =>
      callWith(address, sample.path, { ...good(sample.may), ca: otherAuthority }),
    // Node's client only hangs up.
    undefined,
    /UNABLE_TO_(GET_ISSUER|VERIFY)|SELF_SIGNED|CERT_SIGNATURE_FAILURE/,
  ),
  rpc('a server that is revoked', revokedServer, undefined, /certificate revoked|CERT_REVOKED/i),
];

/** The client library, with a list on which the service's certificate is. */
async function revokedServer({ address, name, files }: Subject, forgeries: Forgeries): Promise<Answer> {
  const read = (...path: string[]) => readFileSync(join(forgeries.folder, ...path), 'utf8');
  const certificate = read(CERTIFICATE_FILES.authority);
  const authority = await Authority.open({ certificate, key: read('ca.key') });
  const { serialNumber } = new X509Certificate(readFileSync(files.certificate));
  const crl = await authority.revoke([serialNumber.toLowerCase()], validFor(1));
  const place = writeFiles(join(forgeries.folder, `caller-of-${name}`), {
    [CERTIFICATE_FILES.certificate]: read('client', CERTIFICATE_FILES.certificate),
    [CERTIFICATE_FILES.key]: read('client', CERTIFICATE_FILES.key),
    [CERTIFICATE_FILES.authority]: certificate,
    [CERTIFICATE_FILES.revoked]: crl,
  });
  const tls = await openTls(filesIn(place), { logger: silentLogger });
  const client = createHealthClient(address, {
    credentials: new TlsChannelCredentials(tls),
    timeoutMs: 60_000,
  });
  try {
    await client.isServing();
    return 'grpc 0';
  } catch (error) {
    return messageOf(error);
  } finally {
    client.close();
    tls.close();
  }
}
