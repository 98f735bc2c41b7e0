import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from './testing/page-checks.ts';
import type { Overview } from './wire.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));
/** Nobody listens there: the console has to start all the same. */
const NOWHERE = '127.0.0.1:1';

test('a process without any service behind it says where it listens, and ends on SIGTERM, streams included', async () => {
  const addresses = ['encoder', 'trainer', 'ranker', 'crawler'].flatMap((name) => [
    `--${name}-address`,
    NOWHERE,
  ]);
  const flags = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0', ...addresses];
  const child = spawn(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const { ready, address, metrics } = JSON.parse(line);
    assert.equal(ready, 'console');
    assert.equal((await fetch(`http://${address}/healthz`)).status, 200);
    assert.equal((await fetch(`http://${address}/api/runs`)).status, 503);
    const overview = (await (await fetch(`http://${address}/api/overview`)).json()) as Overview;
    assert.deepEqual(
      overview.services.map(({ state }) => state),
      Array(4).fill('unreachable'),
    );
    const text = await (await fetch(`http://${metrics}/metrics`)).text();
    assert.match(
      text,
      /console_request_duration_seconds_count\{[^}]*route="\/api\/runs",status="503"[^}]*\} 1/,
    );
    const stream = await fetch(`http://${address}/api/sessions/events`);
    let told = '';
    const reading = (async () => {
      for await (const chunk of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) told += chunk;
    })();
    await until(() => /event: trouble\ndata: .*127\.0\.0\.1:1/.test(told));
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
    await reading;
  } finally {
    child.kill('SIGKILL');
  }
});
