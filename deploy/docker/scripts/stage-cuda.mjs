// node stage-cuda.mjs FOLDER: puts the shared libraries of cuda-12.3.txt into FOLDER, each checked by digest. Needs Python 3 with pip.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder, list = join(dirname(fileURLToPath(import.meta.url)), '../cuda-12.3.txt')] =
  process.argv.slice(2);
if (!folder) {
  console.error('stage-cuda: usage: stage-cuda.mjs FOLDER [LIST]');
  process.exit(2);
}

/** Takes `nvidia/*\/lib/*.so*` out of a wheel. */
const UNPACK = `
import pathlib, shutil, sys, zipfile
target = pathlib.Path(sys.argv[2])
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for member in wheel.infolist():
        path = pathlib.PurePosixPath(member.filename)
        if path.parts[0] == 'nvidia' and path.parent.name == 'lib' and '.so' in path.name:
            with wheel.open(member) as source, open(target / path.name, 'wb') as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
`;

const target = resolve(folder);
mkdirSync(target, { recursive: true });
const wheels = mkdtempSync(join(tmpdir(), 'cuda-'));
const run = (...args) => execFileSync('python3', args, { stdio: ['ignore', 2, 2] });
try {
  run(
    ...['-m', 'pip', 'download', '--quiet', '--no-deps', '--require-hashes', '--only-binary=:all:'],
    ...['--python-version', '3.11', '--platform', 'manylinux1_x86_64', '--platform', 'manylinux2014_x86_64'],
    ...['-r', list, '--dest', wheels],
  );
  for (const wheel of readdirSync(wheels)) run('-c', UNPACK, join(wheels, wheel), target);
} finally {
  rmSync(wheels, { recursive: true });
}
if (readdirSync(target).length === 0) throw new Error(`no library came out of the wheels of ${list}`);
