import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CrawlResponse,
  FailureReason,
  QueryState,
  SessionState,
} from '@online-cnclip/contracts/crawler/v1';
import sharp from 'sharp';
import { type CrawlStack, startCrawlStack, waitForReady } from './stack.ts';

const WANTED = 3;
let stack: CrawlStack;

before(async () => {
  stack = await startCrawlStack({
    crawlerFlags: [
      ...['--query-interval-ms', '0', '--query-jitter-ms', '0', '--image-interval-ms', '0'],
      ...['--backoff-ms', '300', '--retry-ms', '100'],
    ],
    profile: (yaml) => yaml.replace('navigationMs: 10000', 'navigationMs: 3000'),
  });
});
after(() => stack?.stop());

interface ShopRequest {
  readonly at: number;
  readonly path: string;
  readonly session: string | null;
}

const searchesOf = (requests: readonly ShopRequest[], query: string): ShopRequest[] =>
  requests.filter(({ path }) => path === `/search?q=${encodeURIComponent(query)}`);

async function assertRightImages(
  query: string,
  answer: CrawlResponse | undefined,
  product: string,
): Promise<void> {
  const { outcome } = answer ?? {};
  assert.ok(outcome !== undefined, `${query}: no answer`);
  assert.equal(
    outcome.state,
    QueryState.QUERY_STATE_OK,
    `${query}: ${outcome.failure} ${outcome.status?.message}`,
  );
  assert.ok(outcome.images.length > 0, `${query}: no image`);
  for (const { jpeg, sourceUrl } of outcome.images) {
    assert.match(new URL(sourceUrl).pathname, new RegExp(`^/img/${product}/\\d$`), `${query}: a wrong image`);
    const { format, width, height } = await sharp(jpeg).metadata();
    assert.deepEqual([format, width, height], ['jpeg', 224, 224]);
  }
}

test('two sessions log in by their codes, and queries become images', async () => {
  await stack.logIn(2);
  const answers = await stack.crawl(['红苹果', '猫', '没有的东西'], 5);
  await assertRightImages('红苹果', answers.get('红苹果'), '1f34e');
  await assertRightImages('猫', answers.get('猫'), '1f408');
  assert.equal(answers.get('红苹果')?.outcome?.images.length, 5);
  assert.equal(answers.get('没有的东西')?.outcome?.state, QueryState.QUERY_STATE_NO_RESULTS);
  const again = await stack.crawl(['红苹果'], 5);
  assert.equal(again.get('红苹果')?.outcome?.cached, true);
});

// Each query has one fault, once; its picture at the shop is what it must become all the same.
const faults: readonly (readonly [query: string, product: string, fault: object])[] = [
  ['西瓜', '1f349', { fault: 'rate-limited' }],
  ['香蕉', '1f34c', { fault: 'unavailable' }],
  ['葡萄', '1f347', { fault: 'server-error' }],
  ['菠萝', '1f34d', { fault: 'reset' }],
  ['樱桃', '1f352', { fault: 'hang' }],
  ['草莓', '1f353', { fault: 'crash' }],
  ['柠檬', '1f34b', { fault: 'logged-out' }],
  ['芒果', '1f96d', { fault: 'challenge' }],
  ['椰子', '1f965', { fault: 'challenge-overlay' }],
  ['茄子', '1f346', { fault: 'changed-markup' }],
  ['西红柿', '1f345', { fault: 'unresolvable-images' }],
  ['胡萝卜', '1f955', { fault: 'endless-scroll' }],
  ['蘑菇', '1f344', { fault: 'duplicate-images' }],
  ['面包', '1f35e', { fault: 'html-image', images: 2 }],
  ['披萨', '1f355', { fault: 'truncated-image', images: 2 }],
  ['汉堡', '1f354', { fault: 'bomb-image', images: 2 }],
  ['薯条', '1f35f', { fault: 'drip-image' }],
  ['爆米花', '1f37f', { fault: 'reset-image', images: 2 }],
  ['巧克力', '1f36b', { fault: 'redirect-image', images: 2 }],
  ['甜甜圈', '1f369', { fault: 'missing-image', images: 2 }],
];

test('a fault of each kind: every query ends well, with right images, and no challenge is touched', async () => {
  await stack.shop.call('DELETE', 'record');
  const rules = faults.map(([query, , fault]) => ({ times: 1, retryAfterSeconds: 1, query, ...fault }));
  await stack.shop.call('PUT', 'faults', { rules });
  const answers = await stack.crawl(
    faults.map(([query]) => query),
    WANTED,
  );
  const { hits } = await stack.shop.call<{ hits: Record<string, number> }>('GET', 'faults');
  assert.deepEqual(
    Object.keys(hits).sort(),
    rules.map((rule) => (rule as unknown as { fault: string }).fault).sort(),
    'a fault that nothing met',
  );
  for (const [query, product] of faults) await assertRightImages(query, answers.get(query), product);
  const { inputs } = await stack.shop.call<{ inputs: unknown[] }>('GET', 'inputs');
  assert.deepEqual(inputs, []);
  const { requests } = await stack.shop.call<{ requests: ShopRequest[] }>('GET', 'requests');
  const [limited, next] = searchesOf(requests, '西瓜');
  const between = requests.filter(
    ({ at, path }) =>
      path.startsWith('/search') && at > (limited?.at ?? 0) && at < (limited?.at ?? 0) + 1_000,
  );
  assert.ok(next !== undefined && next.at - (limited?.at ?? 0) >= 1_000, 'Retry-After was not waited for');
  // The other session may have had a search on its way.
  assert.ok(between.length <= 1, `${between.length} searches in the second that the site asked for`);
});

test('a fault that does not end is a failure with its reason, and is not in the cache as images', async () => {
  const lasting = [
    ['公鸡', { fault: 'html-image', images: 12 }, FailureReason.FAILURE_REASON_IMAGES],
    ['老虎', { fault: 'changed-markup' }, FailureReason.FAILURE_REASON_PROFILE_MISMATCH],
    ['兔子', { fault: 'server-error' }, FailureReason.FAILURE_REASON_NAVIGATION],
  ] as const;
  await stack.shop.call('PUT', 'faults', { rules: lasting.map(([query, fault]) => ({ query, ...fault })) });
  const answers = await stack.crawl(
    lasting.map(([query]) => query),
    WANTED,
  );
  for (const [query, , reason] of lasting) {
    const outcome = answers.get(query)?.outcome;
    assert.ok(outcome !== undefined, `${query}: no answer`);
    const ends: readonly QueryState[] = [QueryState.QUERY_STATE_FAILED, QueryState.QUERY_STATE_DEFERRED];
    assert.ok(ends.includes(outcome.state), `${query}: ${outcome.state}`);
    assert.equal(outcome.failure, reason, `${query}: ${outcome.status?.message}`);
    assert.equal(outcome.images.length, 0);
  }
  const { failures } = await stack.crawler.listFailures({ reasons: [], limit: 100 });
  for (const [query] of lasting)
    assert.ok(
      failures.some((failure) => failure.query === query),
      query,
    );
  await stack.shop.call('PUT', 'faults', { rules: [] });
});

test('a crawler that is killed comes back with its sessions and its queries, and without its browsers', async () => {
  await stack.shop.call('DELETE', 'record');
  const queries = ['狗', '马', '羊', '猪', '蛇', '龙', '鼠', '牛', '鱼', '熊猫'];
  const { crawlerProcess } = stack;
  const first = stack.crawl(queries, WANTED).catch((error: unknown) => error);
  for (;;) {
    const { requests } = await stack.shop.call<{ requests: ShopRequest[] }>('GET', 'requests');
    if (requests.some(({ path }) => path.startsWith('/img/'))) break;
    await sleep(20);
  }
  const killed = once(crawlerProcess, 'exit');
  crawlerProcess.kill('SIGKILL');
  await killed;
  assert.ok((await first) instanceof Error, 'the stream ended well though its server was killed');

  await stack.restartCrawler();
  const { sessions } = await stack.crawler.listSessions({ states: [] });
  const alive = sessions.filter(({ state }) => state !== SessionState.SESSION_STATE_RETIRED);
  assert.equal(alive.length, 2);
  for (const { sessionId } of alive) await waitForReady(stack.crawler, sessionId);
  const answers = await stack.crawl(queries, WANTED);
  for (const query of queries)
    assert.equal(answers.get(query)?.outcome?.state, QueryState.QUERY_STATE_OK, query);
  const { requests } = await stack.shop.call<{ requests: ShopRequest[] }>('GET', 'requests');
  assert.ok(!requests.some(({ path }) => path.startsWith('/member/login')), 'a session had to log in again');
  for (const query of queries)
    assert.ok(searchesOf(requests, query).length <= 2, `${query} was asked again and again`);
});
