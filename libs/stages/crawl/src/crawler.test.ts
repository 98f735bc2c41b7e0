// What the end of the process leaves, at whatever moment it comes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openImageCache } from '@online-cnclip/image-cache';
import { temporaryFolder } from './testing/temporary-folder.ts';

const PROGRAM = fileURLToPath(new URL('testing/crawl-until-killed.ts', import.meta.url));
/** As many as `npm test` has time for; npm run crawl:soak does it a hundred times, with real browsers. */
const KILLS = 6;
/** From a life's first answer to its end, at most. */
const LIFE_MS = 600;

test(`killed ${KILLS} times: no query lost or done twice, sessions come back, nothing is damaged`, async (context) => {
  const folder = temporaryFolder(context);
  const answered = new Set<string>();
  const searchedAgain: string[] = [];
  let logIns = 0;
  let next = 0;
  for (let life = 0; life < KILLS; life += 1) {
    const child = spawn(process.execPath, [PROGRAM, folder, String(next)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let trouble = '';
    child.stderr.on('data', (text) => {
      trouble += text;
    });
    const exit = once(child, 'exit');
    let isToEnd = false;
    for await (const line of createInterface({ input: child.stdout })) {
      const [kind, query = '', state, images] = line.split(' ');
      if (kind === 'log-in') logIns += 1;
      if (kind === 'search' && answered.has(query)) searchedAgain.push(query);
      if (kind !== 'answer') continue;
      assert.deepEqual([state, images], ['OK', '2'], line);
      answered.add(query);
      if (!isToEnd) setTimeout(() => child.kill('SIGKILL'), Math.random() * LIFE_MS);
      isToEnd = true;
    }
    assert.deepEqual(await exit, [null, 'SIGKILL'], trouble);
    while (answered.has(`商品${next}`)) next += 1;
  }
  assert.deepEqual(searchedAgain, []);
  // Both may be killed in the middle of their first log-in.
  assert.ok(logIns <= 4, `${logIns} log-ins`);
  const cache = openImageCache(join(folder, 'cache'));
  for (const query of answered) {
    assert.equal(cache.images(query).length, 2);
    assert.equal(cache.get(query)?.attempts, 1);
  }
  await cache.close();
  context.diagnostic(`${answered.size} queries, ${logIns} log-ins`);
});
