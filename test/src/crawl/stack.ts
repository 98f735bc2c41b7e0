import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { type CrawlRequest, type CrawlResponse, SessionState } from '@online-cnclip/contracts/crawler/v1';
import { messageOf } from '@online-cnclip/foundation';

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Ends the processes should the test be killed. */
const PARENT_WATCH = new URL('../../../services/launcher/src/processes/parent-watch.ts', import.meta.url)
  .href;
/** Longer than anything takes on a busy machine. */
const PATIENCE_MS = 90_000;
const CONNECT_TIMEOUT_MS = 20_000;
/** How often the phone and the person look whether they are wanted. */
const LOOK_MS = 200;
const LOG_IN_ATTEMPTS = 3;

export interface ShopControl {
  readonly address: string;
  call<T>(method: string, name: string, body?: unknown): Promise<T>;
}

/** The crawler and the fixture shop as processes, with somebody who scans codes and answers challenges. */
export interface CrawlStack {
  readonly shop: ShopControl;
  readonly dataFolder: string;
  /** Of the crawler that runs now. */
  readonly crawler: CrawlerClient;
  readonly crawlerProcess: ChildProcess;
  logIn(sessions: number): Promise<void>;
  crawl(queries: readonly string[], wanted: number): Promise<Map<string, CrawlResponse>>;
  /** Another crawler on the same data, once the last one has ended. */
  restartCrawler(): Promise<void>;
  /** The end of the crawler's log. */
  log(): string;
  stop(): Promise<void>;
}

export interface StackOptions {
  readonly shopFlags?: readonly string[];
  readonly crawlerFlags?: readonly string[];
  /** Changes the text of the fixture's site profile. */
  readonly profile?: (yaml: string) => string;
}

export async function startCrawlStack(options: StackOptions = {}): Promise<CrawlStack> {
  const folder = mkdtempSync(join(tmpdir(), 'crawl-stack-'));
  const dataFolder = join(folder, 'data');
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
  const profileFile = join(folder, 'profile.yaml');
  const profile = readFileSync(join(root, 'libs/stages/crawl/profiles/fixture-shop.yaml'), 'utf8');
  writeFileSync(profileFile, options.profile?.(profile) ?? profile);

  const shopProcess = launch('fixture-shop', join(folder, 'shop.log'), options.shopFlags ?? []);
  const shop = openControl(await readyAddress(shopProcess));
  const startCrawler = async (): Promise<{ child: ChildProcess; client: CrawlerClient }> => {
    const child = launch('crawler', join(folder, 'crawler.log'), [
      ...['--data-folder', dataFolder, '--sealing-key-file', keyFile, '--site-profile', profileFile],
      ...['--site-origin', `http://${shop.address}`, '--fixture-address', shop.address],
      ...(options.crawlerFlags ?? []),
    ]);
    const client = createCrawlerClient(await readyAddress(child));
    await client.waitUntilConnected(CONNECT_TIMEOUT_MS);
    return { child, client };
  };
  let running = await startCrawler();
  const attendants = new AbortController();
  const attending = attend(shop, () => running.client, attendants.signal);
  return {
    shop,
    dataFolder,
    get crawler() {
      return running.client;
    },
    get crawlerProcess() {
      return running.child;
    },
    logIn: (sessions) => openSessions(running.client, sessions),
    crawl: (queries, wanted) => crawlAll(running.client, queries, wanted),
    restartCrawler: async () => {
      running.client.close();
      await end(running.child);
      running = await startCrawler();
    },
    log: () => readFileSync(join(folder, 'crawler.log'), 'utf8').slice(-4_000),
    stop: async () => {
      attendants.abort();
      await attending;
      running.client.close();
      await Promise.all([end(running.child), end(shopProcess)]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function launch(service: string, logFile: string, flags: readonly string[]): ChildProcess {
  return spawn(
    process.execPath,
    [
      ...['--import', PARENT_WATCH, join(root, 'services', service, 'src/main.ts')],
      ...['--listen-address', '127.0.0.1:0', '--metrics-address', 'off', ...flags],
    ],
    // A group of its own, so that a test can kill it with nothing else.
    { stdio: ['pipe', 'pipe', openSync(logFile, 'a')], detached: true },
  );
}

async function readyAddress(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${child.spawnargs.at(3)} ended (${signal ?? code}) before it was ready`);
  });
  const line = once(createInterface({ input: child.stdout as Readable }), 'line');
  const [text] = (await Promise.race([line, ended])) as [string];
  ended.catch(() => undefined);
  return JSON.parse(text).address;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

function openControl(address: string): ShopControl {
  return {
    address,
    call: async <T>(method: string, name: string, body?: unknown): Promise<T> => {
      const answer = await fetch(`http://${address}/control/${name}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${method} ${name}: ${await answer.text()}`);
      return (await answer.json()) as T;
    },
  };
}

/** Plays the people that a crawl needs: one with a phone, and one who looks after parked and expired sessions. */
async function attend(shop: ShopControl, client: () => CrawlerClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(LOOK_MS);
    try {
      await shop.call('POST', 'phone');
      const states = [
        SessionState.SESSION_STATE_PARKED,
        SessionState.SESSION_STATE_EXPIRED,
        SessionState.SESSION_STATE_SUSPECT,
      ];
      const { sessions } = await client().listSessions({ states });
      if (sessions.some(({ state }) => state === SessionState.SESSION_STATE_PARKED))
        await shop.call('POST', 'answer', {});
      for (const { sessionId } of sessions) await client().resolveChallenge({ sessionId });
    } catch {
      // The crawler is gone for a moment, or the session has gone on by itself.
    }
  }
}

async function openSessions(client: CrawlerClient, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => openSession(client, `session ${i + 1}`)));
}

/** A log-in that a busy machine was too slow for ends its session: another one is opened, as a person would. */
async function openSession(client: CrawlerClient, label: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { session } = await client.openSession({ label });
    try {
      return await waitForReady(client, session?.sessionId ?? 0n);
    } catch (error) {
      if (attempt === LOG_IN_ATTEMPTS || !messageOf(error).includes('not loaded after')) throw error;
    }
  }
}

export async function waitForReady(client: CrawlerClient, sessionId: bigint): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  for await (const { session } of client.watchSession({ sessionId }, { signal })) {
    if (session?.state === SessionState.SESSION_STATE_READY) return;
    if (session?.state === SessionState.SESSION_STATE_RETIRED)
      throw new Error(`session retired: ${session.reason}`);
  }
  throw new Error('the watch ended before the session was ready');
}

async function crawlAll(
  client: CrawlerClient,
  queries: readonly string[],
  wanted: number,
): Promise<Map<string, CrawlResponse>> {
  const requests: CrawlRequest[] = queries.map((query, i) => ({
    queryId: BigInt(i),
    query,
    wanted,
    refresh: false,
  }));
  const answers = new Map<string, CrawlResponse>();
  for await (const answer of client.crawl(requests))
    answers.set(queries[Number(answer.queryId)] ?? '', answer);
  return answers;
}
