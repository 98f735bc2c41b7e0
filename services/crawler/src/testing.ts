// The service and the fixture shop as processes of their own, for a test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CrawlerClient, createCrawlerClient } from '@online-cnclip/client';
import { type CrawlOutcome, type Session, SessionState } from '@online-cnclip/contracts/crawler/v1';

type Owner = Pick<TestContext, 'after'>;

const MAIN = { crawler: './main.ts', 'fixture-shop': '../../fixture-shop/src/main.ts' };

export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly address: string;
  readonly metrics: string | null;
  readonly log: Promise<string>;
}

export function temporaryFolder(owner: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'crawler-'));
  owner.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

export function spawnService(owner: Owner, name: keyof typeof MAIN, flags: readonly string[]) {
  const main = fileURLToPath(new URL(MAIN[name], import.meta.url));
  const child = spawn(process.execPath, [main, '--listen-address', '127.0.0.1:0', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  owner.after(() => child.kill('SIGKILL'));
  return { child, log: text(child.stderr) };
}

export async function startService(
  owner: Owner,
  name: keyof typeof MAIN,
  flags: readonly string[],
): Promise<ServiceProcess> {
  const { child, log } = spawnService(owner, name, flags);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, log, ...JSON.parse(line) };
}

/** A fixture shop's controls. */
export class Shop {
  readonly address: string;

  private constructor(address: string) {
    this.address = address;
  }

  static async start(owner: Owner): Promise<Shop> {
    const { address } = await startService(owner, 'fixture-shop', ['--metrics-address', 'off']);
    return new Shop(address);
  }

  async control<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`http://${this.address}/control/${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return (await response.json()) as T;
  }

  setFaults(...rules: readonly object[]): Promise<unknown> {
    return this.control('PUT', 'faults', { rules });
  }

  /** Paths that visitors have asked for and that begin so. */
  async paths(prefix: string): Promise<string[]> {
    const { requests } = await this.control<{ requests: { path: string }[] }>('GET', 'requests');
    return requests.map(({ path }) => path).filter((path) => path.startsWith(prefix));
  }
}

/** A crawler on the shop, with nothing to wait for but what a test asks for. */
export async function startCrawler(
  owner: Owner,
  shop: Shop,
  folder: string,
  flags: readonly string[] = [],
): Promise<ServiceProcess & { client: CrawlerClient }> {
  const site = ['--site-origin', `http://${shop.address}`, '--fixture-address', shop.address];
  const pace = [
    '--query-interval-ms',
    '0',
    '--query-jitter-ms',
    '0',
    '--backoff-ms',
    '200',
    '--retry-ms',
    '50',
  ];
  const service = await startService(owner, 'crawler', [
    '--data-folder',
    folder,
    '--metrics-address',
    '127.0.0.1:0',
    ...site,
    ...pace,
    ...flags,
  ]);
  const client = createCrawlerClient(service.address);
  owner.after(() => client.close());
  return { ...service, client };
}

/** Opens a session and scans its code. @returns it and the states on the way. */
export async function logIn(
  client: CrawlerClient,
  shop: Shop,
  label = '',
): Promise<{ sessionId: bigint; seen: Session[] }> {
  const sessionId = (await client.openSession({ label })).session?.sessionId ?? 0n;
  const seen: Session[] = [];
  for await (const { session } of client.watchSession({ sessionId })) {
    if (!session) continue;
    seen.push(session);
    if (session.qrCode) await shop.control('POST', 'phone');
    if (session.state === SessionState.SESSION_STATE_READY) return { sessionId, seen };
  }
  throw new Error(`session ${sessionId} ended: ${seen.at(-1)?.reason}`);
}

export async function crawl(
  client: CrawlerClient,
  queries: readonly string[],
  wanted = 2,
): Promise<(CrawlOutcome | undefined)[]> {
  const outcomes: (CrawlOutcome | undefined)[] = queries.map(() => undefined);
  const requests = queries.map((query, i) => ({ queryId: BigInt(i), query, wanted, refresh: false }));
  for await (const { queryId, outcome } of client.crawl(requests)) outcomes[Number(queryId)] = outcome;
  return outcomes;
}

/** Until the session is in one of the states. */
export async function untilState(
  client: CrawlerClient,
  sessionId: bigint,
  ...states: SessionState[]
): Promise<Session> {
  for (;;) {
    const { sessions } = await client.listSessions({ states: Object.values(SessionState).filter(Boolean) });
    const session = sessions.find((each) => each.sessionId === sessionId);
    if (session && states.includes(session.state)) return session;
    await sleep(50);
  }
}
