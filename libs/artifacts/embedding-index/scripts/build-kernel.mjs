// Turns src/scoring/dot-products.wat into src/scoring/kernel-binary.ts. Needs wat2wasm of the WebAssembly Binary Toolkit:
//   npx --package wabt@1.0.39 node scripts/build-kernel.mjs
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../src/scoring/', import.meta.url));
const source = join(folder, 'dot-products.wat');
const temporary = mkdtempSync(join(tmpdir(), 'kernel-'));
const binary = join(temporary, 'kernel.wasm');
execFileSync('wat2wasm', [source, '-o', binary], { stdio: 'inherit' });
const base64 = readFileSync(binary).toString('base64');
const sha256 = createHash('sha256').update(readFileSync(source)).digest('hex');
rmSync(temporary, { recursive: true });

const lines = base64.match(/.{1,100}/g).map((line) => `  '${line}'`);
writeFileSync(
  join(folder, 'kernel-binary.ts'),
  `// Generated from dot-products.wat by scripts/build-kernel.mjs; not to be edited.\n\n` +
    `export const KERNEL_SOURCE_SHA256 = '${sha256}';\n\nexport const KERNEL_BASE64 =\n${lines.join(' +\n')};\n`,
);
