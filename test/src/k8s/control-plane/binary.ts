import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../../..');
const SOURCE = join(root, 'test/cluster/kubetest');
const CACHE = join(root, 'var/kubetest');

/** What it calls itself; Kubernetes' own build sets it by the same variables. The version of test/cluster/kubetest/go.mod. */
const VERSION = 'v1.34.4';
const VERSION_VARIABLES = ['component-base/version', 'client-go/pkg/version'];

/** Static, without debug information: half the size and an eighth less time. */
const BUILD = [
  'build',
  '-trimpath',
  `-ldflags=-s -w ${VERSION_VARIABLES.map((name) => `-X k8s.io/${name}.gitVersion=${VERSION}`).join(' ')}`,
];
/** At once at most: a compiler takes up to 1 GB for the largest packages. */
const PARALLEL = 2;
/** The compiler is the one that is installed: none is downloaded. */
const ENVIRONMENT = { CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' };

export type ControlPlaneBinary =
  | { readonly kind: 'built'; readonly path: string }
  | { readonly kind: 'absent'; readonly reason: string };

/** Whether an absent control plane is a failure and not a skipped test. */
export const mustRun = (environment: Readonly<Record<string, string | undefined>>): boolean =>
  environment['CI'] === 'true';

/**
 * For a test file: the program's path, and why its tests are skipped.
 *
 * @throws Error where there is none and the environment is CI's.
 */
export function controlPlaneOrSkip(environment: Readonly<Record<string, string | undefined>>): {
  readonly path: string;
  readonly skip: string | false;
} {
  const binary = controlPlaneBinary(environment);
  if (binary.kind === 'built') return { path: binary.path, skip: false };
  if (mustRun(environment)) throw new Error(binary.reason);
  return { path: '', skip: binary.reason };
}

/**
 * The program with the control plane's components (test/cluster/kubetest), built when its sources, modules or the compiler have
 * changed. That takes minutes, unlike finding it in var/kubetest.
 *
 * @throws Error when the build fails.
 */
export function controlPlaneBinary(
  environment: Readonly<Record<string, string | undefined>>,
): ControlPlaneBinary {
  const env = { ...environment, ...ENVIRONMENT };
  const version = spawnSync('go', ['env', 'GOVERSION', 'GOOS', 'GOARCH'], { encoding: 'utf8', env });
  if (version.error !== undefined || version.status !== 0)
    return {
      kind: 'absent',
      reason: 'the control plane is built with Go 1.24 or later, which is not installed (Debian: golang-go)',
    };
  const name = `kubetest-${hashOf(version.stdout)}`;
  const path = join(CACHE, name);
  if (!existsSync(path)) build(name, env);
  return { kind: 'built', path };
}

function hashOf(compiler: string): string {
  const hash = createHash('sha256')
    .update(compiler)
    .update(JSON.stringify([BUILD, ENVIRONMENT]));
  for (const file of readdirSync(SOURCE).sort()) hash.update(file).update(readFileSync(join(SOURCE, file)));
  return hash.digest('hex').slice(0, 16);
}

function build(name: string, env: NodeJS.ProcessEnv): void {
  mkdirSync(CACHE, { recursive: true });
  const partial = join(CACHE, `${name}.partial`);
  console.log('building the Kubernetes control plane for tests (once; about 7 minutes on two cores)');
  const { status } = spawnSync('go', [...BUILD, `-p=${PARALLEL}`, '-o', partial, '.'], {
    cwd: SOURCE,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`go build of ${SOURCE} failed`);
  for (const old of readdirSync(CACHE)) if (old !== `${name}.partial`) rmSync(join(CACHE, old));
  renameSync(partial, join(CACHE, name));
}
