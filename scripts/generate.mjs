// Generates the TypeScript contracts and the descriptor set from proto/. `--check` generates into a scratch
// folder instead and exits 1 when what is committed differs.
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const committed = join(root, 'libs/rpc/contracts/src/gen');
const bin = join(root, 'node_modules/.bin');

function generateInto(folder) {
  const options = {
    cwd: join(root, 'proto'),
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  };
  const template = JSON.stringify({
    version: 'v2',
    clean: true,
    plugins: [
      {
        local: 'protoc-gen-ts_proto',
        out: folder,
        strategy: 'all',
        opt: [
          'env=node',
          'esModuleInterop=true',
          'importSuffix=.ts',
          'outputServices=grpc-js',
          'outputIndex=false',
          'useExactTypes=false',
          'unrecognizedEnum=false',
          'enumsAsLiterals=true',
          'oneof=unions-value',
          'forceLong=bigint',
          'useOptionals=none',
          'removeEnumPrefix=false',
          'useDate=date',
          'exportCommonSymbols=false',
        ],
      },
    ],
  });
  execFileSync(join(bin, 'buf'), ['generate', '--template', template], options);
  // Reflection serves one descriptor set, and health checking has to be in it: its .proto is a second module.
  const modules = [{ path: 'proto' }, { path: 'node_modules/grpc-health-check/proto' }];
  const workspace = JSON.stringify({ version: 'v2', modules });
  const set = join(folder, 'descriptors.binpb');
  execFileSync(join(bin, 'buf'), ['build', '--config', workspace, '-o', set], { ...options, cwd: root });
}

if (process.argv.includes('--check')) {
  const scratch = mkdtempSync(join(tmpdir(), 'contracts-'));
  try {
    generateInto(scratch);
    const list = (folder) => globSync('**/*.{ts,binpb}', { cwd: folder }).sort();
    const [want, have] = [list(scratch), list(committed)];
    const stale = [...new Set([...want, ...have])].filter(
      (file) =>
        !want.includes(file) ||
        !have.includes(file) ||
        !readFileSync(join(scratch, file)).equals(readFileSync(join(committed, file))),
    );
    if (stale.length) {
      console.error(`generated contracts are stale: ${stale.join(', ')}; run npm run generate`);
      process.exit(1);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
} else generateInto(committed);
