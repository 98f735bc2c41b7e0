// x509 describes its classes by decorators, which need this first.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509Crl,
  X509CrlGenerator,
} from '@peculiar/x509';
import { normalSerialNumber, type Role, roleUri } from '../identity.ts';

cryptoProvider.set(webcrypto);

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** RFC 5280 allows 20 bytes, of which the first bit has to be 0. */
const SERIAL_NUMBER_BYTES = 16;

/** Machines whose clocks are a little behind take a new certificate at once. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

const DAY_MS = 24 * 3_600_000;

/** A certificate and its private key, as PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface LeafRequest {
  /** The subject's common name. */
  readonly name: string;
  readonly role: Role;
  /** DNS names and IP addresses under which it serves; none for one that only calls. */
  readonly hosts: readonly string[];
  readonly validity: Validity;
}

/** From now, a little back-dated, for so many days. */
export function validFor(days: number, now = Date.now()): Validity {
  return { notBefore: new Date(now - CLOCK_TOLERANCE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** A certificate authority of our own: ECDSA on P-256, one level. For development and for clusters without one. */
export class Authority {
  readonly #certificate: X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;
  /** PEM. */
  readonly certificate: string;

  private constructor(certificate: X509Certificate, signingKey: webcrypto.CryptoKey) {
    this.#certificate = certificate;
    this.#signingKey = signingKey;
    this.certificate = pemOf(certificate);
  }

  static async create(name: string, validity: Validity): Promise<{ authority: Authority; key: string }> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: [{ CN: [name] }],
      ...validity,
      keys,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return { authority: new Authority(certificate, keys.privateKey), key: await keyPem(keys.privateKey) };
  }

  /** @throws InvalidInputError when the files are not a certificate and its key. */
  static async open({ certificate, key }: KeyedCertificate): Promise<Authority> {
    try {
      const [der] = PemConverter.decode(key);
      if (!der) throw new Error('no key in the file');
      const signingKey = await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
      return new Authority(new X509Certificate(certificate), signingKey);
    } catch (cause) {
      throw new InvalidInputError(`not an authority's certificate and key: ${messageOf(cause)}`, { cause });
    }
  }

  /** A new key and its certificate, for serving under its hosts (where it has any) and for calling. */
  async issue({ name, role, hosts, validity }: LeafRequest): Promise<KeyedCertificate> {
    const keys = await generateKeys();
    const usages = [...(hosts.length > 0 ? [ExtendedKeyUsage.serverAuth] : []), ExtendedKeyUsage.clientAuth];
    const names: JsonGeneralName[] = hosts.map((value) => ({
      type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns',
      value,
    }));
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: [{ CN: [name] }],
      issuer: this.#certificate.subjectName,
      ...validity,
      publicKey: keys.publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(usages),
        new SubjectAlternativeNameExtension([...names, { type: 'url', value: roleUri(role) }]),
        await AuthorityKeyIdentifierExtension.create(this.#certificate),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return { certificate: pemOf(certificate), key: await keyPem(keys.privateKey) };
  }

  /** A revocation list (PEM) of these serial numbers, in place of all lists before it. */
  async revoke(serialNumbers: Iterable<string>, validity: Validity): Promise<string> {
    const crl = await X509CrlGenerator.create({
      issuer: this.#certificate.subjectName,
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      entries: Array.from(serialNumbers, (number) => ({ serialNumber: number, revocationDate: new Date() })),
      extensions: [await AuthorityKeyIdentifierExtension.create(this.#certificate)],
      signingKey: this.#signingKey,
      signingAlgorithm: SIGNING_ALGORITHM,
    });
    // What OpenSSL looks for; the library's own heading says only `CRL`.
    return `${PemConverter.encode(crl.rawData, 'X509 CRL')}\n`;
  }
}

export interface RevocationList {
  /** The authority's name, as X.509 writes it. */
  readonly issuer: string;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
  /** Normalised as those of certificates. */
  readonly serialNumbers: ReadonlySet<string>;
}

/** @throws InvalidInputError when it is not a revocation list. */
export function parseRevocations(crl: string): RevocationList {
  try {
    const { issuer, thisUpdate, nextUpdate, entries } = new X509Crl(crl);
    const serialNumbers = new Set(entries.map((entry) => normalSerialNumber(entry.serialNumber)));
    return { issuer, thisUpdate, nextUpdate, serialNumbers };
  } catch (cause) {
    throw new InvalidInputError(`not a revocation list: ${messageOf(cause)}`, { cause });
  }
}

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);

const pemOf = (certificate: X509Certificate): string => `${certificate.toString('pem')}\n`;

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function serialNumber(): string {
  const bytes = randomBytes(SERIAL_NUMBER_BYTES);
  // Positive, and without a leading zero, which libraries write in different ways.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}
