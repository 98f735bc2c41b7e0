// bin/cnclip.mjs under Node as it is here, and under one that says it is old.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { BIN, cnclip, start, temporaryFolder } from './testing/processes.ts';

const OLD_NODE = [
  '--import',
  'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.11.0"})',
];

test('help lists every command, and each has its own', async () => {
  const { code, stdout, stderr } = await cnclip(['--help']);
  assert.deepEqual([code, stderr], [0, '']);
  const names = ['dataset', 'train', 'encode', 'predict', 'evaluate', 'checkpoint', 'model', 'tokenize'];
  for (const name of [...names, 'search', 'services', 'run'])
    assert.match(stdout, new RegExp(`^ {2}${name} `, 'm'));
  const { stdout: own } = await cnclip(['dataset', 'build', '--help']);
  assert.match(own, /^Usage: cnclip dataset build /);
});

test('an old Node hands over to the own one, with arguments, output and exit code', async () => {
  const { code, stdout } = await cnclip(['tokenize', '你 好', '--context-length=5'], {
    nodeArguments: OLD_NODE,
  });
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).text, '你 好');
  const wrong = await cnclip(['tokenize'], { nodeArguments: OLD_NODE });
  assert.deepEqual([wrong.code, wrong.stderr], [2, "cnclip: missing required argument 'text'\n"]);
});

test('an old Node passes on signals, and dies of the one that its child died of', async () => {
  // A service that never answers: the connection stays open until the signal comes.
  const { createServer } = await import('node:net');
  const connected = Promise.withResolvers<void>();
  const server = createServer(() => connected.resolve()).listen(0, '127.0.0.1');
  await setTimeout(50);
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const { child, outcome } = start(['services', 'status', '--encoder', `127.0.0.1:${address.port}`], {
    nodeArguments: OLD_NODE,
  });
  await connected.promise;
  child.kill('SIGTERM');
  assert.equal((await outcome).signal, 'SIGTERM');
  server.close();
});

test('without the set-up it says what to do', async () => {
  const bin = join(temporaryFolder(), 'services/cli/bin');
  mkdirSync(bin, { recursive: true });
  const script = join(bin, 'cnclip.mjs');
  cpSync(BIN, script);
  for (const nodeArguments of [OLD_NODE, []]) {
    const { code, stderr } = await cnclip(['--help'], { script, nodeArguments });
    assert.equal(code, 1);
    assert.match(stderr, /^cnclip: the set-up was not done: run "npm ci"/);
  }
});

test('mistakes of usage end with status 2 and a hint', async () => {
  const unknown = await cnclip(['trian']);
  assert.deepEqual(
    [unknown.code, unknown.stderr],
    [2, "cnclip: unknown command 'trian' (Did you mean train?)\n"],
  );
  for (const args of [[], ['predict']]) {
    const { code, stderr } = await cnclip(args);
    assert.equal(code, 2);
    assert.match(stderr, /^Usage: cnclip /);
  }
});
