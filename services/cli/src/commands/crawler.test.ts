// crawler and cache against a real crawler, with a real browser on the fixture shop.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cnclip, start, startService, stopServices, succeed, temporaryFolder } from '../testing/processes.ts';

const folder = temporaryFolder();
let shop: string;
let crawler: string[];

before(async () => {
  shop = await startService('fixture-shop', []);
  const site = ['--site-origin', `http://${shop}`, '--fixture-address', shop];
  const pace = ['--query-interval-ms', '0', '--query-jitter-ms', '0', '--session-wait-ms', '100'];
  crawler = ['--address', await startService('crawler', ['--data-folder', folder, ...site, ...pace])];
});
after(stopServices);

/** Confirms the code once it is shown. */
async function scan(barcode: string): Promise<void> {
  while (!existsSync(barcode)) await sleep(50);
  await fetch(`http://${shop}/control/phone`, { method: 'POST' });
}

test('check-browser names the browser, or what to do', async () => {
  for (const place of [[], crawler]) {
    const printed = await succeed(['crawler', 'check-browser', ...place]);
    assert.match(printed, /^Chrome\/[\d.]+ {2}\/.*\n安装成功!\n$/);
  }
  const { code, stderr } = await cnclip(['crawler', 'check-browser', '--browser-path', '/nowhere']);
  assert.deepEqual([code, stderr], [1, 'cnclip: /nowhere: is no executable file\n']);
});

test('without a session, queries fail for that reason', async () => {
  const { code, stdout, stderr } = await cnclip(['crawler', 'fetch', ...crawler, '猫']);
  assert.equal(code, 1);
  assert.match(stdout, /^猫 {2}FAILED {2}NO_SESSION: no session is logged in, again from /);
  assert.match(stderr, /1 of 1 queries were not done/);
  assert.match(
    await succeed(['crawler', 'failures', ...crawler, '--reason', 'no-session']),
    /^猫 .*1 try\n1 of 1\n$/,
  );
  assert.match(await succeed(['crawler', 'failures', ...crawler, '--reason', 'challenge']), /^0 of 0\n$/);
  assert.match(await succeed(['crawler', 'sessions', ...crawler]), /^no session/);
});

test('login shows the code and ends when the session is ready; fetch then has images', async () => {
  const codes = join(folder, 'codes');
  const scanned = scan(join(codes, 'barcode_1.png'));
  const printed = await succeed(['crawler', 'login', ...crawler, '--label', 'desk', '--barcode-dir', codes]);
  await scanned;
  assert.match(printed, /█▀▀▀▀▀█/);
  assert.match(printed, /1 \(desk\) {2}READY/);
  assert.deepEqual(readdirSync(codes), ['barcode_1.png']);
  const file = join(folder, 'queries.jsonl');
  writeFileSync(file, '{"text_id": 1, "text": "猫"}\n\n苹果\n');
  const out = join(folder, 'out');
  const lines = await succeed([
    'crawler',
    'fetch',
    ...crawler,
    '--query-file',
    file,
    '--wanted',
    '2',
    '--output',
    out,
  ]);
  assert.deepEqual(lines.trimEnd().split('\n').sort(), ['猫  OK  2 images', '苹果  OK  2 images'].sort());
  assert.deepEqual(readdirSync(join(out, '苹果')), ['1.jpg', '2.jpg']);
  assert.match(await succeed(['crawler', 'fetch', ...crawler, '苹果', '--wanted', '1']), /1 image, cached/);
  assert.equal(await succeed(['crawler', 'failures', ...crawler]), '0 of 0\n');
  assert.match(
    await succeed(['crawler', 'sessions', ...crawler]),
    /^1 \(desk\) {2}READY {2}2 of 500 queries today\n$/,
  );
});

test('what is wrong is named: the query, its file, the session', async () => {
  const long = await cnclip(['crawler', 'fetch', ...crawler, '长'.repeat(10_000)]);
  assert.match(long.stdout, /INVALID_QUERY: query: "长{40}" and so on has 10000 characters/);
  const missing = await cnclip(['crawler', 'fetch', ...crawler, '--query-file', '/nowhere']);
  assert.match(missing.stderr, /\/nowhere: cannot be read/);
  const broken = join(folder, 'broken.jsonl');
  writeFileSync(broken, '猫\n{"text": 1}\n');
  assert.match(
    (await cnclip(['crawler', 'fetch', ...crawler, '--query-file', broken])).stderr,
    /broken\.jsonl:2: has no "text"/,
  );
  const absent = await cnclip(['crawler', 'retire', ...crawler, '99']);
  assert.deepEqual([absent.code, absent.stderr], [1, 'cnclip: session_id: there is no session 99\n']);
  assert.equal((await cnclip(['crawler', 'resolve', ...crawler, '1'])).code, 1);
  assert.equal((await cnclip(['crawler', 'resolve', ...crawler, 'one'])).code, 2);
});

test('Ctrl-C in a log-in retires the session', async () => {
  const { child, outcome } = start(['crawler', 'login', ...crawler, '--barcode-dir', join(folder, 'left')]);
  while (!(await succeed(['crawler', 'sessions', ...crawler])).includes('LOGIN_WAIT')) await sleep(50);
  child.kill('SIGINT');
  assert.equal((await outcome).code, 130);
  assert.match(
    await succeed(['crawler', 'sessions', ...crawler, '--all']),
    /2 {2}RETIRED: retired by an operator/,
  );
  assert.match(await succeed(['crawler', 'retire', ...crawler, '1']), /^1 \(desk\) {2}RETIRED/);
});

test('cache import takes the research cache over, beside a running crawler', async () => {
  const old = join(folder, 'old');
  mkdirSync(join(old, 'valid/旧的'), { recursive: true });
  writeFileSync(join(old, 'valid/旧的/1.jpg'), readFileSync(join(folder, 'out/苹果/1.jpg')));
  writeFileSync(join(old, 'valid/旧的/2.jpg'), 'x'.repeat(600));
  const { code, stdout, stderr } = await cnclip(['cache', 'import', old, '--data-path', folder]);
  assert.equal(code, 0);
  assert.match(stdout, /1 images of 1 queries\nleft out: .* 1 unreadable/);
  assert.match(stderr, /valid\/旧的\/2\.jpg: /);
  assert.match(
    await succeed(['crawler', 'fetch', ...crawler, '旧的', '--wanted', '1']),
    /OK {2}1 image, cached/,
  );
  assert.equal((await cnclip(['cache', 'import', '/nowhere', '--data-path', folder])).code, 1);
});
