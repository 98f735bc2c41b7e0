import type { PeerCertificate } from 'node:tls';
import { z } from 'zod';

/**
 * What a certificate's holder is, and so what it may do. The services first: a service calls others as itself. `client` encodes and
 * searches, `operator` runs the system, `scraper` reads metrics.
 */
export const ROLES = [
  'encoder',
  'trainer',
  'ranker',
  'crawler',
  'console',
  'client',
  'operator',
  'scraper',
] as const;
export type Role = (typeof ROLES)[number];

export const roleSchema = z.enum(ROLES);

/** The one form in which a certificate says a role: a URI among its subject's alternative names. */
const ROLE_URI_PREFIX = 'spiffe://online-cnclip/role/';

export const roleUri = (role: Role): string => `${ROLE_URI_PREFIX}${role}`;

/** Who made a call, as its certificate says. */
export interface Identity {
  /** The subject's common name: of the service or the person. */
  readonly name: string;
  /** Undefined when the certificate names none of ours, or several. */
  readonly role: Role | undefined;
  /** Hexadecimal, as in revocation lists. */
  readonly serialNumber: string;
}

/** `trainer "trainer-2"`, for errors and logs. */
export const describeIdentity = ({ name, role }: Identity): string => `${role ?? 'no role'} "${name}"`;

/** @param certificate verified: nothing in it is looked at but who it says its holder is. */
export function identityOf(
  certificate: Pick<PeerCertificate, 'subject' | 'subjectaltname' | 'serialNumber'>,
): Identity {
  const { subject, subjectaltname = '', serialNumber } = certificate;
  const commonName: unknown = subject?.CN;
  const name = typeof commonName === 'string' ? commonName : '(no common name)';
  return { name, role: roleOf(subjectaltname), serialNumber: normalSerialNumber(serialNumber) };
}

/** @param names Node's text: `DNS:localhost, URI:spiffe://online-cnclip/role/client`. */
function roleOf(names: string): Role | undefined {
  // Node quotes names that hold a comma or other characters with a meaning in this text. Ours never do.
  if (names.includes('"')) return undefined;
  const uris = names.split(', ').filter((name) => name.startsWith(`URI:${ROLE_URI_PREFIX}`));
  if (uris.length !== 1) return undefined;
  const parsed = roleSchema.safeParse(uris[0]?.slice(`URI:${ROLE_URI_PREFIX}`.length));
  return parsed.success ? parsed.data : undefined;
}

/** Libraries differ in case and in leading zeros. */
export const normalSerialNumber = (hexadecimal: string): string =>
  hexadecimal.toLowerCase().replace(/^0+(?=.)/, '');
