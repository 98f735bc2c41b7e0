import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { loadConfig, setting } from './config.ts';
import { InvalidInputError } from './errors.ts';
import { nearestTo } from './nearest.ts';

const settings = {
  listenAddress: setting('CNCLIP_ECHO_LISTEN_ADDRESS', z.string().default('127.0.0.1:1')),
  maxBytes: setting('CNCLIP_ECHO_MAX_BYTES', z.coerce.number().int().positive().default(10)),
  rank: setting('RANK', z.coerce.number().default(0)),
};
const folder = mkdtempSync(join(tmpdir(), 'config-'));
after(() => rmSync(folder, { recursive: true }));

const load = (environment: Record<string, string>, flags: readonly string[] = []) =>
  loadConfig(settings, { environment, environmentPrefix: 'CNCLIP_ECHO_', flags });
const refuses = (action: () => unknown, message: RegExp) =>
  assert.throws(action, (error) => error instanceof InvalidInputError && message.test(error.message));

test('a variable of our prefix that no setting has is an error that names the nearest', () => {
  refuses(
    () => load({ CNCLIP_ECHO_LISTEN_ADRESS: 'x' }),
    /^CNCLIP_ECHO_LISTEN_ADRESS: no setting has this variable; did you mean CNCLIP_ECHO_LISTEN_ADDRESS\?$/,
  );
  refuses(() => load({ CNCLIP_ECHO_MAX_BYTE: '1' }), /did you mean CNCLIP_ECHO_MAX_BYTES\?$/);
  refuses(() => load({ CNCLIP_ECHO_LISTEN_PORT: '50051' }), /no setting has this variable/);
});

test("other prefixes, and what Kubernetes sets for services, are nobody's mistake", () => {
  const links = {
    CNCLIP_ECHO_SERVICE_HOST: '10.0.0.1',
    CNCLIP_ECHO_SERVICE_PORT_GRPC: '50051',
    CNCLIP_ECHO_PORT: 'tcp://10.0.0.1:50051',
    CNCLIP_ECHO_PORT_50051_TCP_ADDR: '10.0.0.1',
    CNCLIP_ECHO_HEADLESS_SERVICE_HOST: 'None',
  };
  assert.deepEqual(load({ ...links, CNCLIP_OTHER_X: '1', PATH: '/bin', RANK: '3' }), {
    listenAddress: '127.0.0.1:1',
    maxBytes: 10,
    rank: 3,
  });
});

test('an unknown flag or key of a file names the nearest', () => {
  refuses(
    () => load({}, ['--listen-adress', 'x']),
    /^--listen-adress: unknown option; did you mean --listen-address\?/,
  );
  refuses(() => load({}, ['--port', '1']), /^--port: unknown option; known: /);
  const file = join(folder, 'config.yaml');
  writeFileSync(file, 'maxByte: 3\n');
  refuses(() => load({}, ['--config', file]), /unknown settings maxByte; did you mean maxBytes\?$/);
});

test('a file that cannot be read, or is no mapping, is named', () => {
  const place = (name: string, content: string): string[] => {
    writeFileSync(join(folder, name), content);
    return ['--config', join(folder, name)];
  };
  refuses(
    () => load({}, ['--config', join(folder, 'none.yaml')]),
    /none\.yaml: cannot be read as configuration: ENOENT/,
  );
  mkdirSync(join(folder, 'a-folder'));
  refuses(
    () => load({}, ['--config', join(folder, 'a-folder')]),
    /a-folder: cannot be read as configuration: EISDIR/,
  );
  refuses(() => load({}, place('list.yaml', '- 1\n')), /list\.yaml: is not a mapping of settings/);
  refuses(() => load({}, place('broken.yaml', 'a: [')), /broken\.yaml: cannot be read as configuration/);
  refuses(
    () => load({}, place('type.yaml', 'maxBytes: many\n')),
    /type\.yaml: maxBytes: "many" is not valid/,
  );
  // Nine times nine times ... of an alias: a bomb to whoever expands it.
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`).join('\n')}\n`;
  refuses(() => load({}, place('bomb.yaml', bomb)), /bomb\.yaml: /);
});

test('nearest is a slip of the fingers, not another word', () => {
  assert.equal(nearestTo('listen-adress', ['metrics-address', 'listen-address']), 'listen-address');
  assert.equal(nearestTo('colour', ['listen-address', 'rank']), undefined);
  assert.equal(nearestTo('x', []), undefined);
});
