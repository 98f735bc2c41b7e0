// node assemble.mjs FOLDER SERVICE...: puts into FOLDER (new or empty) what runs these services and nothing else: their sources, those
// of the packages that they depend on, and their production dependencies as the lockfile has them, native addons built. They run there
// as they are: `node services/SERVICE/src/main.ts`. Needs Node 24 with npm; for the addons a C++ compiler, make and Python 3.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Code that only tests run; the same pattern as in test/src/boundaries.test.ts. */
const TEST_CODE = /\.test\.ts$|\/testing(\/|\.ts$|$)|-for-tests\.ts$/;
/** What a package's folder may hold besides what is in the repository. */
const LEFT_BEHIND = ['node_modules', 'build', 'var'];

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const [folder, ...services] = process.argv.slice(2);
if (!folder || services.length === 0) fail('usage: assemble.mjs FOLDER SERVICE...');
const target = resolve(folder);
if (existsSync(target) && readdirSync(target).length > 0) fail(`${target} is not empty`);

const packages = readPackages();
const wanted = closureOf(services.map((service) => `services/${service}`));
copySources();
install();
dropUnwantedPackages();
dropForeignFiles();

function fail(message) {
  console.error(`assemble: ${message}`);
  process.exit(2);
}

/** Folder, name and production dependencies of each package of the workspace. */
function readPackages() {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return workspaces
    .flatMap((pattern) => globSync(`${pattern}/package.json`, { cwd: root }))
    .map((path) => {
      const { name, dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, path), 'utf8'));
      return {
        name,
        folder: dirname(path),
        needs: Object.keys({ ...dependencies, ...optionalDependencies }),
      };
    });
}

function closureOf(folders) {
  const found = new Set();
  for (const start of folders)
    found.add(packages.find((one) => one.folder === start) ?? fail(`there is no ${start}`));
  for (const { needs } of found) for (const one of packages) if (needs.includes(one.name)) found.add(one);
  return found;
}

function copySources() {
  mkdirSync(target, { recursive: true });
  // The lockfile speaks of every package of the workspace, so that npm wants all their manifests.
  const manifests = packages.map((one) => `${one.folder}/package.json`);
  for (const path of ['package.json', 'package-lock.json', '.npmrc', ...manifests])
    cpSync(join(root, path), join(target, path));
  for (const one of wanted) {
    const left = LEFT_BEHIND.map((name) => join(root, one.folder, name));
    cpSync(join(root, one.folder), join(target, one.folder), {
      recursive: true,
      filter: (path) => !TEST_CODE.test(path) && !left.includes(path),
    });
  }
}

function install() {
  const npm = process.env.npm_execpath;
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []];
  const workspaces = services.map((service) => `--workspace=services/${service}`);
  const { status } = spawnSync(
    command,
    [...first, 'ci', '--omit=dev', ...workspaces, '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: target,
      stdio: ['ignore', 2, 2],
      // As in scripts/setup.mjs, for npm older than 11.16: the CPU provider is in the package already.
      env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
    },
  );
  if (status !== 0) process.exit(status ?? 1);
}

/** The manifests that npm wanted, and its links to them. */
function dropUnwantedPackages() {
  for (const one of packages) {
    if (wanted.has(one)) continue;
    rmSync(join(target, one.folder), { recursive: true });
    rmSync(join(target, 'node_modules', one.name), { force: true });
  }
}

/** Two thirds of what was installed: binaries of other platforms, and source maps of libraries. */
function dropForeignFiles() {
  const modules = join(target, 'node_modules');
  const { platform, arch } = process;
  const binaries = 'onnxruntime-node/bin/*/*/*';
  for (const path of globSync(binaries, { cwd: modules }))
    if (!path.endsWith(`${platform}/${arch}`)) rmSync(join(modules, path), { recursive: true });
  for (const path of globSync('**/*.map', { cwd: modules, exclude: (name) => name === '@online-cnclip' }))
    rmSync(join(modules, path));
}
