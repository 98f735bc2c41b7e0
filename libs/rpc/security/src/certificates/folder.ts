import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AlreadyExistsError,
  InvalidInputError,
  messageOf,
  NotFoundError,
  replaceFileAtomically,
} from '@online-cnclip/foundation';
import { identityOf, type Role } from '../identity.ts';
import { Authority, type KeyedCertificate, parseRevocations, validFor } from './authority.ts';
import { type CertificatePlan, certificatePlans } from './services.ts';

/** The files of a certificate's folder, under the names that Kubernetes' Secrets of type tls have. */
export const CERTIFICATE_FILES = {
  certificate: 'tls.crt',
  key: 'tls.key',
  authority: 'ca.crt',
  revoked: 'ca.crl',
} as const;

/** The authority's own files, in the folder above. Its key is for this tool alone: no service ever reads it. */
const AUTHORITY_KEY = 'ca.key';

/** Beside the console's certificate: what people log in with. */
const CONSOLE_TOKEN = 'token';
const TOKEN_BYTES = 32;

/** A quarter of a year: long enough to forget no renewal, short enough that a lost key is not for ever. */
export const DEFAULT_DAYS = 90;

/** Certificates are renewed by their authority, the authority by starting afresh. */
const AUTHORITY_DAYS = 3_650;

const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const FOLDER_MODE = 0o755;

const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/i;

/**
 * Makes an authority and a certificate per service and per kind of caller: `FOLDER/ca.crt`, `ca.key`, `ca.crl`, and
 * `FOLDER/NAME/{tls.crt,tls.key,ca.crt,ca.crl}` for each, and the token to log in to the console with, `FOLDER/console/token`. Private
 * keys and the token are readable by their owner only.
 *
 * @returns the names of the folders made.
 * @throws AlreadyExistsError when there is an authority and `force` is not set.
 */
export async function initCertificates(
  folder: string,
  options: { readonly days?: number; readonly hosts?: readonly string[]; readonly force?: boolean } = {},
): Promise<readonly string[]> {
  const { days = DEFAULT_DAYS, hosts = [], force = false } = options;
  if (!force) refuseToOverwrite(folder);
  const { authority, key } = await Authority.create('online-cnclip', validFor(AUTHORITY_DAYS));
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  await writeFileWithMode(join(folder, AUTHORITY_KEY), key, PRIVATE_MODE);
  await writeFileWithMode(join(folder, CERTIFICATE_FILES.authority), authority.certificate, PUBLIC_MODE);
  const plans = certificatePlans(hosts);
  for (const plan of plans) await issueInto(folder, authority, plan, days);
  await writeRevocations(folder, authority, new Set(), days);
  const token = `${randomBytes(TOKEN_BYTES).toString('hex')}\n`;
  await writeFileWithMode(join(folder, 'console', CONSOLE_TOKEN), token, PRIVATE_MODE);
  return plans.map(({ name }) => name);
}

/** Whether there is one, or a part of one. */
export const hasAuthority = (folder: string): boolean => authorityFile(folder) !== undefined;

const authorityFile = (folder: string): string | undefined =>
  [AUTHORITY_KEY, CERTIFICATE_FILES.authority].map((name) => join(folder, name)).find(existsSync);

function refuseToOverwrite(folder: string): void {
  const there = authorityFile(folder);
  if (there === undefined) return;
  throw new AlreadyExistsError(
    'exists already; what is signed with it would be refused once there is a new one',
    {
      place: there,
    },
  );
}

/**
 * One more certificate of the same authority: a person's, say, so that the audit log tells people apart.
 *
 * @throws AlreadyExistsError when the name is taken; NotFoundError without an authority; InvalidInputError for a bad name.
 */
export async function issueCertificate(
  folder: string,
  plan: CertificatePlan,
  days = DEFAULT_DAYS,
): Promise<void> {
  if (!NAME_PATTERN.test(plan.name))
    throw new InvalidInputError('a name is letters, digits, ".", "_" and "-"', { place: plan.name });
  const place = join(folder, plan.name);
  if (existsSync(place)) throw new AlreadyExistsError('exists already', { place });
  const authority = await openAuthority(folder);
  await issueInto(folder, authority, plan, days);
  await copyToFolders(folder, [plan.name]);
}

/**
 * New keys and certificates of the same names, roles and hosts by the authority that is there, and a revocation list that is valid
 * for as long. What was revoked stays revoked, and is not renewed.
 *
 * @returns the names renewed.
 */
export async function renewCertificates(folder: string, days = DEFAULT_DAYS): Promise<readonly string[]> {
  const authority = await openAuthority(folder);
  const revoked = await readRevocations(folder);
  const renewed: string[] = [];
  for (const name of await certificateNames(folder)) {
    const plan = await readPlan(folder, name);
    if (revoked.has(plan.serialNumber)) continue;
    await issueInto(folder, authority, plan, days);
    renewed.push(name);
  }
  await writeRevocations(folder, authority, revoked, days);
  return renewed;
}

/**
 * Puts a certificate on the revocation list, in the folder of the authority and in that of every certificate.
 *
 * @returns its serial number.
 * @throws NotFoundError when there is none of that name.
 */
export async function revokeCertificate(folder: string, name: string, days = DEFAULT_DAYS): Promise<string> {
  const authority = await openAuthority(folder);
  if (!NAME_PATTERN.test(name) || !existsSync(join(folder, name, CERTIFICATE_FILES.certificate)))
    throw new NotFoundError('there is no certificate of this name', { place: join(folder, name) });
  const { serialNumber } = await readPlan(folder, name);
  const revoked = new Set(await readRevocations(folder)).add(serialNumber);
  await writeRevocations(folder, authority, revoked, days);
  return serialNumber;
}

async function issueInto(
  folder: string,
  authority: Authority,
  plan: CertificatePlan,
  days: number,
): Promise<void> {
  const { certificate, key } = await authority.issue({ ...plan, validity: validFor(days) });
  const place = join(folder, plan.name);
  await mkdir(place, { recursive: true, mode: FOLDER_MODE });
  await writeFileWithMode(join(place, CERTIFICATE_FILES.key), key, PRIVATE_MODE);
  await writeFileWithMode(join(place, CERTIFICATE_FILES.certificate), certificate, PUBLIC_MODE);
}

async function openAuthority(folder: string): Promise<Authority> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(folder, name), 'utf8');
    } catch (cause) {
      throw new NotFoundError(`no authority here: ${messageOf(cause)}`, { place: folder, cause });
    }
  };
  const files: KeyedCertificate = {
    certificate: await read(CERTIFICATE_FILES.authority),
    key: await read(AUTHORITY_KEY),
  };
  return Authority.open(files);
}

/** The folders that hold a certificate. */
async function certificateNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => existsSync(join(folder, entry.name, CERTIFICATE_FILES.certificate)))
    .map(({ name }) => name)
    .sort();
}

/** What a certificate was made from, as it says itself. */
async function readPlan(
  folder: string,
  name: string,
): Promise<CertificatePlan & { readonly serialNumber: string }> {
  const place = join(folder, name, CERTIFICATE_FILES.certificate);
  try {
    const certificate = new X509Certificate(await readFile(place));
    const { role, serialNumber } = identityOf(certificate.toLegacyObject());
    return { name, role: requireRole(role), hosts: hostsOf(certificate), serialNumber };
  } catch (cause) {
    throw new InvalidInputError(`not a certificate of ours: ${messageOf(cause)}`, { place, cause });
  }
}

function requireRole(role: Role | undefined): Role {
  if (role === undefined) throw new InvalidInputError('it names no role');
  return role;
}

const hostsOf = ({ subjectAltName = '' }: X509Certificate): string[] =>
  subjectAltName
    .split(', ')
    .filter((name) => name.startsWith('DNS:') || name.startsWith('IP Address:'))
    .map((name) => name.slice(name.indexOf(':') + 1));

async function readRevocations(folder: string): Promise<ReadonlySet<string>> {
  const place = join(folder, CERTIFICATE_FILES.revoked);
  return existsSync(place) ? parseRevocations(await readFile(place, 'utf8')).serialNumbers : new Set();
}

async function writeRevocations(
  folder: string,
  authority: Authority,
  revoked: ReadonlySet<string>,
  days: number,
): Promise<void> {
  const crl = await authority.revoke(revoked, validFor(days));
  await writeFileWithMode(join(folder, CERTIFICATE_FILES.revoked), crl, PUBLIC_MODE);
  await copyToFolders(folder, await certificateNames(folder));
}

/** What all need of the authority, into each certificate's folder, so that one folder is all that a process has to see. */
async function copyToFolders(folder: string, names: readonly string[]): Promise<void> {
  for (const file of [CERTIFICATE_FILES.authority, CERTIFICATE_FILES.revoked]) {
    const content = await readFile(join(folder, file), 'utf8');
    for (const name of names) await writeFileWithMode(join(folder, name, file), content, PUBLIC_MODE);
  }
}

/** Never readable by others for a moment, and never half there: services may be reading it. */
async function writeFileWithMode(path: string, content: string, mode: number): Promise<void> {
  await replaceFileAtomically(path, async (temporaryPath) => {
    await writeFile(temporaryPath, content, { mode });
    await chmod(temporaryPath, mode);
  });
}
