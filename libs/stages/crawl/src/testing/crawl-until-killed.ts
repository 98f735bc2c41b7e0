// A process that a test kills: crawls queries one after the other, and says each search and each answer.
import { writeSync } from 'node:fs';
import { silentLogger } from '@online-cnclip/foundation';
import { openCrawler } from '../crawler.ts';
import { Sealer } from '../sealing/sealer.ts';
import { FakeSite } from './fake-site.ts';
import { servePictures } from './picture-server.ts';
import { waitUntil } from './wait-until.ts';

const STANDARD_OUTPUT = 1;
/** Queries in flight. */
const ABREAST = 3;

const [folder = '', start = '0'] = process.argv.slice(2);
// At once: what is buffered when the process is killed was never said.
const say = (line: string): void => void writeSync(STANDARD_OUTPUT, `${line}\n`);

const { port } = await servePictures();
const site = new FakeSite();
site.candidatesOf = (query) => {
  say(`search ${query}`);
  return [0, 1].map((i) => `http://127.0.0.1:${port}/${encodeURIComponent(query)}/${i}`);
};
const crawler = await openCrawler({
  dataFolder: folder,
  siteUrl: new URL(`http://127.0.0.1:${port}`),
  exempt: { host: '127.0.0.1', port },
  manners: { queryIntervalMs: 0, queryJitterMs: 0, dailyCap: 1_000_000, backoffMs: 5, imageIntervalMs: 0 },
  sealer: new Sealer(Buffer.alloc(32, 1)),
  openBrowser: site.openBrowser,
  maxSessions: 2,
  leaseMs: 60_000,
  sessionWaitMs: 60_000,
  maxDeferralMs: 10_000,
  retryMs: 1,
  logger: silentLogger,
});
while (crawler.sessions.list().length < 2) {
  const { sessionId } = await crawler.sessions.open();
  say(`log-in ${sessionId}`);
  await waitUntil(() => crawler.sessions.get(sessionId).state !== 'NEW', 'log-in');
}
let next = Number(start);
const work = async (): Promise<void> => {
  for (;;) {
    const query = `商品${next}`;
    next += 1;
    const { state, images } = await crawler.crawl.run({ query, wanted: 2, refresh: false });
    say(`answer ${query} ${state} ${images.length}`);
  }
};
await Promise.all(Array.from({ length: ABREAST }, work));
