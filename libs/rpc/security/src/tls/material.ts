import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { parseRevocations } from '../certificates/authority.ts';
import { type Identity, identityOf } from '../identity.ts';
import type { TlsFiles } from './files.ts';

/** The files' contents, in the order of `pathsOf`. */
export type TlsContents = readonly Buffer[];

/** What a process shows to others, and what it believes of them. */
export interface TlsMaterial {
  /** For servers: also forbids to resume a session, for which nobody would look at the revocation list again. */
  readonly options: SecureContextOptions;
  /** For connections to servers. */
  readonly context: SecureContext;
  readonly identity: Identity;
  readonly notAfter: Date;
  /** Normalised, see {@link Identity}. */
  readonly revoked: ReadonlySet<string>;
}

/** Both ends are ours, and everything that ours talk to (Go, Python, curl, browsers) has had it since 2018. */
const MIN_VERSION = 'TLSv1.3';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Checks that the files belong together and are of use now, which a handshake would only tell the other side.
 *
 * @throws InvalidInputError naming the file and what is wrong with it.
 */
export function checkTlsFiles(files: TlsFiles, contents: TlsContents, now = Date.now()): TlsMaterial {
  const [cert, key, ca, crl] = contents as [Buffer, Buffer, Buffer, Buffer?];
  const certificate = parse(files.certificate, () => new X509Certificate(cert));
  const privateKey = parse(files.key, () => createPrivateKey(key));
  requireKeyOf(files, certificate, privateKey);
  requireInTime(files.certificate, certificate.validFromDate, certificate.validToDate, now);
  const authorities = parse(files.authority, () => certificatesIn(ca));
  requireIssued(files, [certificate, ...certificatesIn(cert).slice(1)], authorities);
  const revoked = crl === undefined ? new Set<string>() : checkRevocations(files, crl, authorities, now);
  const options: SecureContextOptions = {
    cert,
    key,
    ca,
    ...(crl && { crl }),
    minVersion: MIN_VERSION,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  const context = parse(files.certificate, () => createSecureContext(options));
  const identity = identityOf(certificate.toLegacyObject());
  return { options, context, identity, notAfter: certificate.validToDate, revoked };
}

function parse<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new InvalidInputError(`not the PEM file that it should be: ${messageOf(cause)}`, { place, cause });
  }
}

const certificatesIn = (pem: Buffer): X509Certificate[] =>
  Array.from(pem.toString('latin1').matchAll(PEM_CERTIFICATE), ([text]) => new X509Certificate(text));

function requireKeyOf(files: TlsFiles, certificate: X509Certificate, key: KeyObject): void {
  if (!certificate.checkPrivateKey(key))
    throw new InvalidInputError(`is not the key of ${files.certificate}`, { place: files.key });
}

function requireInTime(place: string, from: Date, to: Date, now: number): void {
  if (now < from.getTime())
    throw new InvalidInputError(`is not valid before ${from.toISOString()}`, { place });
  if (now > to.getTime()) throw new InvalidInputError(`has expired on ${to.toISOString()}`, { place });
}

/** @param chain the certificate, and those that lead from it to an authority. */
function requireIssued(
  files: TlsFiles,
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): void {
  if (authorities.length === 0)
    throw new InvalidInputError('there is no certificate in it', { place: files.authority });
  const issued = chain.some((link) =>
    authorities.some((authority) => link.checkIssued(authority) && link.verify(authority.publicKey)),
  );
  if (!issued)
    throw new InvalidInputError(`is not from an authority in ${files.authority}`, {
      place: files.certificate,
    });
}

/** A list of another authority, or one that is out of date, would have every connection refused. */
function checkRevocations(
  { revoked: place = '' }: TlsFiles,
  crl: Buffer,
  authorities: readonly X509Certificate[],
  now: number,
): ReadonlySet<string> {
  const list = parse(place, () => parseRevocations(crl.toString('latin1')));
  const { issuer, thisUpdate, nextUpdate, serialNumbers } = list;
  const isFrom = (authority: X509Certificate) => commonNameIn(authority.subject) === commonNameIn(issuer);
  if (!authorities.some(isFrom))
    throw new InvalidInputError(`is a list of another authority, ${issuer}`, { place });
  if (nextUpdate) requireInTime(place, thisUpdate, nextUpdate, now);
  return serialNumbers;
}

const commonNameIn = (name: string): string | undefined => /CN=([^,\n]+)/.exec(name)?.[1];
