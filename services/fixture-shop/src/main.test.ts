import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('./main.ts', import.meta.url));
const PARENT_WATCH = new URL('../../launcher/src/processes/parent-watch.ts', import.meta.url).href;

const start = (...flags: string[]): ChildProcess =>
  spawn(process.execPath, ['--import', PARENT_WATCH, ENTRY, '--metrics-address', 'off', ...flags], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {},
  });

test('the process says where it listens, and ends when its parent is gone', async () => {
  const child = start('--listen-address', '127.0.0.1:0');
  const [line] = (await once(createInterface({ input: child.stdout as Readable }), 'line')) as [string];
  const { ready, address } = JSON.parse(line);
  assert.equal(ready, 'fixture-shop');
  assert.match(await (await fetch(`http://${address}/`)).text(), /id="q"/);
  // A visitor that is kept waiting does not keep the process.
  await fetch(`http://${address}/control/faults`, {
    method: 'PUT',
    body: JSON.stringify({ rules: [{ fault: 'hang' }] }),
  });
  const { session } = (await (
    await fetch(`http://${address}/control/log-in`, { method: 'POST' })
  ).json()) as {
    session: string;
  };
  const hanging = fetch(`http://${address}/search?q=1`, { headers: { cookie: `shop_session=${session}` } });
  const cutOff = assert.rejects(hanging);
  await new Promise((resolve) => setTimeout(resolve, 200));
  child.stdin?.end();
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  await cutOff;
});

test('it listens on loopback alone, and says which setting is wrong', async () => {
  for (const [flags, message, status] of [
    [['--listen-address', '0.0.0.0:0'], /0\.0\.0\.0:0/, 2],
    // What other services may be allowed, it may not.
    [
      ['--listen-address', '0.0.0.0:0', '--allow-plaintext', 'true'],
      /0\.0\.0\.0:0: the fixture shop listens on loopback only/,
      1,
    ],
    [['--latency-ms', 'long'], /--latency-ms: "long" is not valid/, 2],
  ] as const) {
    const child = start(...flags);
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    assert.deepEqual(await once(child, 'close'), [status, null]);
    assert.match(said, message);
  }
});
