import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

// The table of docs/architecture.md. A layer may import the layers named; `self` allows packages of its own.
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const LAYERS = {
  foundation: { self: false, imports: [] },
  artifacts: { self: false, imports: ['foundation'] },
  compute: { self: true, imports: ['foundation'] },
  model: { self: true, imports: ['foundation', 'compute'] },
  stages: { self: false, imports: ['foundation', 'artifacts', 'compute', 'model'] },
  rpc: { self: true, imports: ['foundation'] },
  services: { self: false, imports: ['foundation', 'artifacts', 'compute', 'model', 'stages', 'rpc'] },
} as const;
type Layer = keyof typeof LAYERS;

interface Package {
  readonly name: string;
  readonly folder: string;
  readonly layer: Layer;
  readonly dependencies: readonly string[];
}

const SCOPE = '@online-cnclip/';

function readPackages(): Package[] {
  const manifests = globSync(['libs/*/package.json', 'libs/*/*/package.json', 'services/*/package.json'], {
    cwd: root,
  });
  return manifests.map((path) => {
    const manifest = JSON.parse(readFileSync(join(root, path), 'utf8'));
    const [top, second] = path.split('/');
    const sections = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];
    return {
      name: manifest.name,
      folder: dirname(path),
      layer: (top === 'libs' ? second : top) as Layer,
      dependencies: sections.flatMap((section) => Object.keys(manifest[section] ?? {})),
    };
  });
}

const packages = readPackages();
const layerOf = new Map(packages.map(({ name, layer }) => [name, layer]));
const own = (name: string): boolean => name.startsWith(SCOPE);

function forbidden({ name, layer, dependencies }: Package): string[] {
  const { self, imports } = LAYERS[layer];
  const allowed = new Set<string>([...imports, ...(self ? [layer] : [])]);
  return dependencies.filter(own).filter((other) => {
    const target = layerOf.get(other);
    return target === undefined || other === name || !allowed.has(target);
  });
}

const sourcesOf = ({ folder }: Package): string[] =>
  globSync(`${folder}/src/**/*.ts`, { cwd: root, exclude: (path) => basename(path) === 'gen' });

test('every package lies in a layer of the table', () => {
  assert.ok(packages.length > 15, `${packages.length} packages found`);
  for (const { name, folder, layer } of packages) {
    assert.ok(layer in LAYERS, `${folder} is in no known layer`);
    assert.equal(name, SCOPE + basename(folder));
  }
});

test('no package depends on a layer that it must not know', () => {
  const misses = packages.flatMap((one) => forbidden(one).map((other) => `${one.name} -> ${other}`));
  assert.deepEqual(misses, []);
});

test('the check sees a stage that imports a stage, a service a service, and rpc a stage', () => {
  const wrong = (layer: Layer, other: string): Package => ({
    name: `${SCOPE}made-up`,
    folder: '',
    layer,
    dependencies: [SCOPE + other],
  });
  for (const [layer, other] of [
    ['stages', 'encoding'],
    ['services', 'ranker'],
    ['rpc', 'retrieval'],
    ['artifacts', 'checkpoint'],
    ['model', 'dataset'],
    ['foundation', 'tracer'],
  ] as const)
    assert.equal(forbidden(wrong(layer, other)).length, 1, `${layer} -> ${other}`);
  assert.deepEqual(forbidden(wrong('services', 'encoding')), []);
});

test('sources import only what their package declares', () => {
  const misses: string[] = [];
  for (const one of packages)
    for (const path of sourcesOf(one)) {
      const source = readFileSync(join(root, path), 'utf8');
      for (const [, name = ''] of source.matchAll(/(?:from|import)\s*\(?\s*'(@online-cnclip\/[a-z-]+)/g))
        if (name !== one.name && !one.dependencies.includes(name)) misses.push(`${path} -> ${name}`);
    }
  assert.deepEqual(misses, []);
});

test('only main.ts reads the environment', () => {
  const readers = packages
    .flatMap(sourcesOf)
    // Code that only tests run may stand in for a main.ts.
    .filter(
      (path) => basename(path) !== 'main.ts' && !/\.test\.ts$|\/testing(\/|\.ts$)|-for-tests\.ts$/.test(path),
    )
    .filter((path) => /process\.env\b/.test(readFileSync(join(root, path), 'utf8')));
  assert.deepEqual(readers, []);
});
