import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { loadSealer, Sealer } from './sealer.ts';

const subject = { sessionId: 7n, schema: 'cookies/1' };
const plain = Buffer.from('secret cookie');

test('what is sealed opens again, and never looks the same twice', () => {
  const sealer = new Sealer(randomBytes(32));
  const sealed = sealer.seal(subject, plain);
  assert.deepEqual(sealer.open(subject, sealed), plain);
  assert.ok(!sealed.includes('secret'));
  assert.notDeepEqual(sealer.seal(subject, plain), sealed);
});

test('it opens for nothing else: another session, schema or key, a changed byte', () => {
  const sealer = new Sealer(randomBytes(32));
  const sealed = sealer.seal(subject, plain);
  assert.throws(() => sealer.open({ ...subject, sessionId: 8n }, sealed), DataLossError);
  assert.throws(() => sealer.open({ ...subject, schema: 'cookies/2' }, sealed), DataLossError);
  assert.throws(() => new Sealer(randomBytes(32)).open(subject, sealed), DataLossError);
  for (let i = 0; i < sealed.length; i += 1) {
    const changed = Buffer.from(sealed);
    changed[i] = (changed[i] as number) ^ 1;
    assert.throws(() => sealer.open(subject, changed), DataLossError);
  }
  assert.throws(() => sealer.open(subject, sealed.subarray(0, 20)), DataLossError);
});

test('a key file holds 32 bytes or 64 hexadecimal digits; any other length is named', async (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, 'key');
  const key = randomBytes(32);
  writeFileSync(path, key);
  const sealed = (await loadSealer(path)).seal(subject, plain);
  writeFileSync(path, `${key.toString('hex')}\n`);
  assert.deepEqual((await loadSealer(path)).open(subject, sealed), plain);
  writeFileSync(path, randomBytes(31));
  await assert.rejects(loadSealer(path), {
    name: 'InvalidInputError',
    message: `${path}: has 31 bytes, not 32`,
  });
  await assert.rejects(loadSealer(join(folder, 'none')), InvalidInputError);
});
