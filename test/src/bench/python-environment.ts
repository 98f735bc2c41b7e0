import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Versions are left to the index: the comparison is with what a user would install today, and the report says which. */
const PACKAGES = ['torch', 'torchvision', 'numpy', 'pillow', 'lmdb', 'tqdm', 'six', 'timm', 'faiss-cpu'];

/** Makes a Python environment with the reference stack, once. @returns the path of its interpreter. */
export function preparePeers(folder: string): string {
  const environment = join(folder, 'peers');
  const python = join(environment, 'bin/python');
  const stamp = join(environment, '.complete');
  const wanted = PACKAGES.join(' ');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  console.log('bench: installing torch, cn_clip and faiss (a few minutes, once)');
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'inherit' });
  run('python3', '-m', 'venv', environment);
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES);
  // Its pinned dependencies do not build on current Pythons; what it needs is installed above.
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', 'cn_clip');
  writeFileSync(stamp, wanted);
  return python;
}
