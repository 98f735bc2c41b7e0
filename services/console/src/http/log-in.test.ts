import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { InvalidInputError } from '@online-cnclip/foundation';
import { startTestConsole, type TestConsole } from '../testing/test-console.ts';
import { PAGE_HEADER } from './guard.ts';
import { MAX_LOG_INS_PER_MINUTE, parseToken } from './log-in.ts';

const TOKEN = 'a token of thirty-two characters'.replaceAll(' ', '-');

let console_: TestConsole;
let pictures: string;
before(async () => {
  pictures = mkdtempSync(join(tmpdir(), 'console-'));
  console_ = await startTestConsole(pictures, TOKEN);
});
after(async () => {
  await console_.close();
  rmSync(pictures, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(console_.origin + path, { headers, redirect: 'manual' });

const logIn = (token: unknown, headers: Record<string, string> = { [PAGE_HEADER]: '1' }) =>
  fetch(`${console_.origin}/api/log-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ token }),
  });

test('without a token only the log-in and health are open', async () => {
  const page = await get('/');
  assert.deepEqual([page.status, page.headers.get('location')], [303, '/log-in.html']);
  for (const path of ['/api/overview', '/main.ts', '/index.html', '/pictures/a/1', '/no-such-thing'])
    assert.equal((await get(path)).status, 401, path);
  const html = await (await get('/log-in.html')).text();
  const parts = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path = '']) => path);
  const script = await (await get('/log-in.ts')).text();
  const modules = [...script.matchAll(/from '\.([^']+)'/g)].map(([, path = '']) => path);
  for (const path of [...parts, ...modules, '/healthz']) assert.equal((await get(path)).status, 200, path);
});

test('a program is let in by the token, and by nothing that is nearly it', async () => {
  assert.equal((await get('/api/overview', { authorization: `Bearer ${TOKEN}` })).status, 200);
  for (const wrong of [TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase(), 'x'])
    assert.equal((await get('/api/overview', { authorization: `Bearer ${wrong}` })).status, 401, wrong);
  assert.equal((await get('/api/overview', { authorization: `Basic ${TOKEN}` })).status, 401);
});

test('a person is let in by a cookie that no script and no other site can use, and that cannot be made longer', async () => {
  assert.equal((await logIn('wrong')).status, 401);
  assert.equal((await logIn({ not: 'text' })).status, 401);
  assert.equal((await logIn(TOKEN, {})).status, 403, 'another site cannot log anyone in');
  const welcome = await logIn(TOKEN);
  assert.equal(welcome.status, 200);
  const [cookie = ''] = welcome.headers.getSetCookie();
  assert.match(cookie, /^session=\d+\.[\w-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
  assert.ok(!cookie.includes(TOKEN));
  const [session = ''] = cookie.split(';');
  assert.equal((await get('/api/overview', { cookie: session })).status, 200);
  const [, until = '', signature = ''] = /^session=(\d+)\.(.*)$/.exec(session) ?? [];
  for (const forged of [
    `session=${Number(until) + 1}.${signature}`,
    `session=${until}.${signature.slice(1)}`,
    `session=${until}`,
    `session=1.${signature}`,
    'session=',
  ])
    assert.equal((await get('/api/overview', { cookie: forged })).status, 401, forged);
});

test('guessing ends after a few tries', async () => {
  const statuses: number[] = [];
  // On a slow machine the minute may begin anew among them.
  while (!statuses.includes(429) && statuses.length < 10 * MAX_LOG_INS_PER_MINUTE)
    statuses.push((await logIn(`guess ${statuses.length}`)).status);
  assert.equal(statuses.at(-1), 429);
});

test('a file without a token is named', () => {
  assert.equal(parseToken(Buffer.from(`${TOKEN}\n`), 'token'), TOKEN);
  for (const content of ['', 'short', 'two words of more than sixteen characters'])
    assert.throws(() => parseToken(Buffer.from(content), 'the/file'), InvalidInputError);
});
