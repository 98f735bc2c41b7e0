import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { checkServerIdentity } from 'node:tls';
import { AlreadyExistsError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { identityOf } from '../identity.ts';
import { parseRevocations } from './authority.ts';
import { initCertificates, issueCertificate, renewCertificates, revokeCertificate } from './folder.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certificates-'));
  await initCertificates(folder, { hosts: ['10.1.2.3'] });
});
after(() => rm(folder, { recursive: true }));

const read = (...path: string[]): string => readFileSync(join(folder, ...path), 'utf8');
const certificateOf = (name: string): X509Certificate => new X509Certificate(read(name, 'tls.crt'));
const revoked = (): ReadonlySet<string> => parseRevocations(read('client', 'ca.crl')).serialNumbers;

test('a certificate says its role and is signed by the authority, which signs nothing else', () => {
  const authority = new X509Certificate(read('ca.crt'));
  for (const role of [
    'encoder',
    'trainer',
    'ranker',
    'crawler',
    'console',
    'client',
    'operator',
    'scraper',
  ]) {
    const certificate = certificateOf(role);
    assert.ok(certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
    assert.equal(certificate.ca, false);
    assert.deepEqual(
      { ...identityOf(certificate.toLegacyObject()), serialNumber: undefined },
      { name: role, role, serialNumber: undefined },
    );
  }
});

test('services are known by the names that clients dial, callers by none', () => {
  const names = (role: string, host: string) =>
    checkServerIdentity(host, certificateOf(role).toLegacyObject());
  for (const host of ['localhost', '127.0.0.1', 'trainer.online-cnclip.svc.cluster.local', '10.1.2.3'])
    assert.equal(names('trainer', host), undefined, host);
  for (const host of ['trainer-0.trainer-replicas', 'train-0.train'])
    assert.equal(names('trainer', host), undefined, host);
  assert.match(String(names('trainer', 'encoder')), /does not match/);
  const client = certificateOf('client');
  assert.deepEqual(client.keyUsage, ['1.3.6.1.5.5.7.3.2'], 'no server can be run with it');
});

test('private keys are for their owner alone', () => {
  const modes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.key'))
    .map((name) => statSync(join(folder, name)).mode & 0o777);
  assert.equal(modes.length, 9);
  assert.ok(modes.every((mode) => mode === 0o600));
  assert.ok(!readdirSync(join(folder, 'encoder')).includes('ca.key'));
  assert.match(read('console', 'token'), /^[0-9a-f]{64}\n$/);
  assert.equal(statSync(join(folder, 'console/token')).mode & 0o777, 0o600);
});

test('an authority is not replaced unless that is wanted', async () => {
  const authority = read('ca.crt');
  await assert.rejects(initCertificates(folder), AlreadyExistsError);
  assert.equal(read('ca.crt'), authority);
});

test('what is revoked stays so when the rest is renewed', async () => {
  await issueCertificate(folder, { name: 'alice', role: 'operator', hosts: [] });
  await assert.rejects(
    issueCertificate(folder, { name: 'alice', role: 'operator', hosts: [] }),
    AlreadyExistsError,
  );
  assert.equal(revoked().size, 0);
  const serialNumber = await revokeCertificate(folder, 'alice');
  assert.deepEqual([...revoked()], [serialNumber]);
  const before = certificateOf('trainer');
  assert.ok(!(await renewCertificates(folder)).includes('alice'));
  const renewed = certificateOf('trainer');
  assert.notEqual(renewed.serialNumber, before.serialNumber);
  assert.ok(!renewed.publicKey.equals(before.publicKey));
  assert.equal(renewed.checkIP('10.1.2.3'), '10.1.2.3');
  assert.deepEqual([...revoked()], [serialNumber]);
});

test('names that are not there, or lead elsewhere, are refused', async () => {
  await assert.rejects(revokeCertificate(folder, 'bob'), NotFoundError);
  await assert.rejects(revokeCertificate(folder, '../client'), NotFoundError);
  await assert.rejects(
    issueCertificate(folder, { name: '../x', role: 'client', hosts: [] }),
    InvalidInputError,
  );
  await assert.rejects(renewCertificates(join(folder, 'client')), NotFoundError);
});

test('a role is one URI of ours, not a part of another name', () => {
  const roleOf = (subjectaltname: string) =>
    identityOf({ subject: { CN: 'x' } as never, subjectaltname, serialNumber: '0A' }).role;
  assert.equal(roleOf('DNS:a, URI:spiffe://online-cnclip/role/client'), 'client');
  for (const names of [
    '',
    'DNS:spiffe://online-cnclip/role/client',
    'URI:spiffe://online-cnclip/role/king',
    'URI:spiffe://elsewhere/role/client',
    'URI:spiffe://online-cnclip/role/client, URI:spiffe://online-cnclip/role/operator',
    'DNS:"x, URI:spiffe://online-cnclip/role/operator"',
  ])
    assert.equal(roleOf(names), undefined, names);
});
