import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { type CrawlOutcome, FailureReason, QueryState } from '@online-cnclip/contracts/crawler/v1';
import { messageOf } from '@online-cnclip/foundation';
import { Children, type ServiceProcess } from '../soak/children.ts';
import { type Audit, auditCache, auditShop } from './audit.ts';
import { faultRules } from './faults.ts';
import { Operator } from './operator.ts';
import { ShopControl } from './shop-control.ts';

export interface SoakOptions {
  /** Each once. */
  readonly queries: readonly string[];
  readonly wanted: number;
  readonly sessions: number;
  /** Share of the queries that something goes wrong with, each once. */
  readonly faultRate: number;
  /** Times that the service is killed at a random moment. */
  readonly kills: number;
  /** From the first answer after a start to the next kill: even up to this. */
  readonly maxKillGapMs: number;
  readonly queryIntervalMs: number;
  readonly folder: string;
  readonly random: () => number;
  readonly tell: (line: string) => void;
}

export interface SoakReport extends Audit {
  readonly queries: number;
  readonly answered: number;
  /** By state, and reason where there is one. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly kills: number;
  /** Sessions found logged out beyond those that the shop logged out: cookies that were lost. */
  readonly lostLogIns: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Crawls queries through faults and ends of the service, and looks afterwards at what the shop and the cache have to say. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { queries, folder, sessions, faultRate } = options;
  mkdirSync(folder, { recursive: true });
  const startedAt = Date.now();
  const children = new Children();
  const shopProcess = await children.startService('fixture-shop', { logPath: join(folder, 'shop.log') });
  const shop = new ShopControl(shopProcess.address);
  const crawl = new SoakedCrawl(options, children, shopProcess.address);
  const ended = new AbortController();
  try {
    await shop.setFaults(faultRules(faultRate));
    await crawl.start();
    const operator = new Operator(() => crawl.client, shop, sessions);
    const working = operator.work(ended.signal);
    const [, kills] = await Promise.all([crawl.ask(), crawl.killAtRandom()]);
    ended.abort();
    await working;
    await crawl.stop();
    const faults = await shop.faultHits();
    return {
      queries: queries.length,
      answered: crawl.answers.size,
      outcomes: countOutcomes(crawl.answers.values()),
      kills,
      lostLogIns: Math.max(0, operator.expirations - (faults['logged-out'] ?? 0)),
      ...(await auditShop(shop, options)),
      ...(await auditCache(join(folder, 'data/cache'), crawl.answers, shop)),
      faults,
      seconds: (Date.now() - startedAt) / 1_000,
    };
  } finally {
    ended.abort();
    await crawl.stop();
    await children.close();
  }
}

/** So much of each life of the service is left for it to answer a query, lest it only ever starts. */
const PROGRESS_PATIENCE_MS = 15_000;

/** The service, however often it is killed, and a client that asks again for what it was not told. */
class SoakedCrawl {
  readonly answers = new Map<string, CrawlOutcome>();
  readonly #options: SoakOptions;
  readonly #children: Children;
  readonly #shopAddress: string;
  #process: ServiceProcess | undefined;
  #client: CrawlerClient | undefined;
  #isDone = false;
  #trouble = '';

  constructor(options: SoakOptions, children: Children, shopAddress: string) {
    this.#options = options;
    this.#children = children;
    this.#shopAddress = shopAddress;
  }

  get client(): CrawlerClient {
    if (!this.#client) throw new Error('the service is down');
    return this.#client;
  }

  async start(): Promise<void> {
    const { folder, queryIntervalMs, sessions } = this.#options;
    const key = join(folder, 'session.key');
    writeFileSync(key, 'k'.repeat(32));
    const flags = {
      'data-folder': join(folder, 'data'),
      'site-origin': `http://${this.#shopAddress}`,
      'fixture-address': this.#shopAddress,
      'sealing-key-file': key,
      'max-sessions': sessions,
      'query-interval-ms': queryIntervalMs,
      'query-jitter-ms': queryIntervalMs / 2,
      'backoff-ms': 500,
      'retry-ms': 200,
      'daily-cap': 1_000_000,
    };
    const all = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = await this.#children.startService('crawler', {
      flags: all,
      logPath: join(folder, 'crawler.log'),
    });
    this.#client = createCrawlerClient(this.#process.address);
  }

  /** Asks until everything is answered, once each; a stream that breaks is begun again with what is left. */
  async ask(): Promise<void> {
    const { queries, wanted } = this.#options;
    while (this.answers.size < queries.length) {
      const left = queries.filter((query) => !this.answers.has(query));
      const requests = left.map((query, i) => ({ queryId: BigInt(i), query, wanted, refresh: false }));
      try {
        for await (const { queryId, outcome } of this.client.crawl(requests)) {
          const query = left[Number(queryId)];
          if (query !== undefined && outcome) this.#note(query, outcome);
        }
      } catch (error) {
        this.#say(`${this.answers.size} of ${queries.length} answered; ${messageOf(error)}`);
        await sleep(100);
      }
    }
    this.#isDone = true;
  }

  /** @returns how often it was killed. */
  async killAtRandom(): Promise<number> {
    const { kills, maxKillGapMs, random, tell } = this.#options;
    for (let killed = 0; killed < kills; killed += 1) {
      const before = this.answers.size;
      const patience = Date.now() + PROGRESS_PATIENCE_MS;
      while (this.answers.size === before && !this.#isDone && Date.now() < patience) await sleep(20);
      await sleep(random() * maxKillGapMs);
      if (this.#isDone) return killed;
      await this.stop();
      await this.start();
      tell(`killed ${killed + 1} times`);
    }
    return kills;
  }

  async stop(): Promise<void> {
    await this.#process?.kill();
    this.#client?.close();
    this.#client = undefined;
  }

  /** The same trouble once. */
  #say(trouble: string): void {
    if (trouble !== this.#trouble) this.#options.tell(trouble);
    this.#trouble = trouble;
  }

  #note(query: string, outcome: CrawlOutcome): void {
    if (this.answers.has(query)) throw new Error(`${query} was answered twice`);
    this.answers.set(query, outcome);
    if (this.answers.size % 100 === 0) this.#options.tell(`${this.answers.size} answered`);
  }
}

function countOutcomes(outcomes: Iterable<CrawlOutcome>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state, failure } of outcomes) {
    const name = nameOf(QueryState, state, 'QUERY_STATE_');
    const reason = failure === 0 ? '' : ` ${nameOf(FailureReason, failure, 'FAILURE_REASON_')}`;
    counts[name + reason] = (counts[name + reason] ?? 0) + 1;
  }
  return counts;
}

const nameOf = (values: Readonly<Record<string, number>>, value: number, prefix: string): string =>
  (Object.entries(values).find(([, number]) => number === value)?.[0] ?? String(value)).replace(prefix, '');
