import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cnclip, succeed, temporaryFolder } from '../testing/processes.ts';

const certificateIn = (folder: string): X509Certificate =>
  new X509Certificate(readFileSync(join(folder, 'tls.crt')));

test('certs init, issue, renew and revoke', async () => {
  const folder = join(temporaryFolder(), 'certs');
  const printed = await succeed(['certs', 'init', folder, '--host', 'search.example.com', '--days', '3']);
  assert.deepEqual(
    printed.trim().split('\n').sort(),
    readdirSync(folder)
      .filter((name) => !name.startsWith('ca.'))
      .map((name) => join(folder, name))
      .sort(),
  );
  assert.equal(statSync(join(folder, 'ca.key')).mode & 0o777, 0o600);
  const ranker = certificateIn(join(folder, 'ranker'));
  assert.equal(ranker.checkHost('search.example.com'), 'search.example.com');
  const days = (ranker.validToDate.getTime() - Date.now()) / 86_400_000;
  assert.ok(days > 2.9 && days < 3.1, `valid for ${days} days`);

  const again = await cnclip(['certs', 'init', folder]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^cnclip: .*ca\.key: exists already/);
  assert.match(await succeed(['certs', 'init', folder, '--keep']), /kept as it is/);
  assert.equal(certificateIn(join(folder, 'ranker')).serialNumber, ranker.serialNumber, 'nothing is changed');

  await succeed(['certs', 'issue', folder, 'alice', '--role', 'operator']);
  const alice = certificateIn(join(folder, 'alice'));
  assert.match(alice.subjectAltName ?? '', /URI:spiffe:\/\/online-cnclip\/role\/operator/);
  assert.match(await succeed(['certs', 'revoke', folder, 'alice']), /^alice: [0-9a-f]+ is revoked\n$/);
  const renewed = await succeed(['certs', 'renew', folder]);
  assert.ok(!renewed.includes('alice'), 'what is revoked is not renewed');
  assert.notEqual(certificateIn(join(folder, 'ranker')).serialNumber, ranker.serialNumber);
  assert.equal(certificateIn(join(folder, 'alice')).serialNumber, alice.serialNumber);
});

test('certs names what it cannot do', async () => {
  const folder = temporaryFolder();
  for (const [args, status, expected] of [
    [['renew', folder], 1, /no authority here/],
    [['issue', folder, 'x', '--role', 'king'], 2, /king/],
    [['init', folder, '--days', '0'], 2, /whole number/],
  ] as const) {
    const { code, stderr } = await cnclip(['certs', ...args]);
    assert.equal(code, status, stderr);
    assert.match(stderr, expected);
  }
});
