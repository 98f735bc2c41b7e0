#!/usr/bin/env node
// Runs on any Node >= 20: the command line itself is TypeScript, which the project's own Node runs as it is.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NEEDED_NODE = 24;
const root = new URL('../../../', import.meta.url);
const pathOf = (file) => fileURLToPath(new URL(file, root));
const main = pathOf('services/cli/src/main.ts');
const ownNode = pathOf('node_modules/.bin/node');

if (!existsSync(pathOf('node_modules/@online-cnclip/foundation'))) {
  fail(`the set-up was not done: run "npm ci" (or "npm start") in ${pathOf('.')} first`);
} else if (Number.parseInt(process.versions.node, 10) >= NEEDED_NODE) {
  await import(main);
} else if (existsSync(ownNode)) {
  handOver();
} else {
  fail(`this is Node ${process.versions.node}, and ${ownNode} is not there: run it with Node ${NEEDED_NODE}`);
}

function fail(message) {
  console.error(`cnclip: ${message}`);
  process.exitCode = 1;
}

/** What becomes of the child becomes of this process: signals go down, the exit code or the fatal signal comes up. */
function handOver() {
  const child = spawn(ownNode, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${ownNode}: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 1;
    for (const name of signals) process.removeAllListeners(name);
    if (signal !== null) process.kill(process.pid, signal);
  });
}
