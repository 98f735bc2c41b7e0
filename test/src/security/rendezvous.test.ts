// Where the replicas of a run meet: with certificates trainers alone, without them on loopback.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openClientSecurity } from '@online-cnclip/client';
import { InvalidInputError, PermissionDeniedError, silentLogger } from '@online-cnclip/foundation';
import { hostRendezvous, Rendezvous } from '@online-cnclip/replicas';
import { initCertificates } from '@online-cnclip/security/certificates';
import { filesIn } from '../soak/tls/certificates.ts';

const TIMEOUT_MS = 60_000;
const STATE = { step: 0, parameters: 'hash', fingerprint: { model: 'mini' } };

const open: { close(): unknown }[] = [];
const folder = await mkdtemp(join(tmpdir(), 'rendezvous-'));
after(async () => {
  for (const one of open.reverse()) await one.close();
  await rm(folder, { recursive: true });
});

test('with certificates trainers meet, and nobody else', async () => {
  await initCertificates(folder);
  const files = filesIn(join(folder, 'trainer'));
  const hosted = await hostRendezvous('127.0.0.1:0', silentLogger, { files, allowPlaintext: false });
  open.push(hosted);
  const replica = async (name: string, rank: number): Promise<Rendezvous> => {
    const security = await openClientSecurity(filesIn(join(folder, name)));
    const { credentials } = security;
    const { address } = hosted;
    const one = new Rendezvous({
      address,
      run: 'run',
      rank,
      worldSize: 2,
      timeoutMs: TIMEOUT_MS,
      credentials,
    });
    open.push(security, one);
    return one;
  };
  const stranger = await replica('operator', 0);
  await assert.rejects(stranger.gather(STATE), PermissionDeniedError);
  const both = await Promise.all([replica('trainer', 0), replica('trainer', 1)]);
  const gatherings = await Promise.all(both.map((one) => one.gather(STATE)));
  await Promise.all(gatherings.map((gathering) => gathering?.finish() ?? assert.fail('not gathered')));
});

test('in plain text the rendezvous is on loopback, unless it is wanted otherwise', async () => {
  await assert.rejects(hostRendezvous('0.0.0.0:0', silentLogger), InvalidInputError);
});
