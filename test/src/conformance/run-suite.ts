import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type { Spec } from './judge.ts';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** The suite takes seconds; a hang is a failure. */
const SUITE_TIMEOUT_MS = 180_000;

/**
 * Bundles TFJS's tests with the tracer and runs them all in a process of their own.
 *
 * @param folder where the bundle and the results are written; inside the repository, so that packages resolve.
 * @returns every spec that ran, in the suite's order.
 */
export async function runSuite(folder: string): Promise<readonly Spec[]> {
  mkdirSync(folder, { recursive: true });
  const [bundle, results] = [join(folder, 'suite.mjs'), join(folder, 'specs.jsonl')];
  await bundleSuite(bundle);
  await promisify(execFile)(process.execPath, [bundle, results], {
    timeout: SUITE_TIMEOUT_MS,
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  const lines = readFileSync(results, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Spec);
}

/** TFJS's tests are modules without file extensions, which Node does not load: one bundle, with one copy of TFJS. */
async function bundleSuite(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(here, 'suite.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['main', 'module'],
    // TFJS declares its test files free of side effects; esbuild would leave most of them out.
    ignoreAnnotations: true,
    external: ['onnxruntime-node', 'jasmine-core'],
    plugins: [
      {
        name: 'one-tfjs',
        setup({ onResolve }) {
          onResolve({ filter: /^@tensorflow\/tfjs-core$/ }, () => ({
            path: require.resolve('@tensorflow/tfjs-core/dist/index.js'),
          }));
          onResolve({ filter: /^jasmine-core\/lib\// }, () => ({ path: join(here, 'jasmine-shim.ts') }));
        },
      },
    ],
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
}
