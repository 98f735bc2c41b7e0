import {
  type CrawlerServiceService,
  CrawlOutcome,
  type Failure,
  QueryState,
  Session,
  SessionState,
} from '@online-cnclip/contracts/crawler/v1';
import { FailedPreconditionError, NotFoundError } from '@online-cnclip/foundation';
import type { Handlers } from '@online-cnclip/service-kit';
import { unsupported } from './unsupported.ts';
import { Updates } from './updates.ts';

interface FakeSession {
  session: Session;
  readonly updates: Updates<Session>;
}

/** A crawler whose sessions change when the test says so. */
export class FakeCrawler {
  readonly #sessions = new Map<bigint, FakeSession>();
  /** What a crawl of a query ends with; no images where there is none of it. */
  readonly outcomes = new Map<string, Partial<CrawlOutcome>>();
  /** Queries wait for it: a crawl that is going on. */
  gate: Promise<void> = Promise.resolve();
  failures: Failure[] = [];
  #lastId = 0n;

  open(label: string): bigint {
    this.#lastId += 1n;
    const session = Session.fromPartial({
      sessionId: this.#lastId,
      label,
      state: SessionState.SESSION_STATE_NEW,
      dailyCap: 500,
      openTime: new Date(),
      changeTime: new Date(),
    });
    this.#sessions.set(this.#lastId, { session, updates: new Updates() });
    this.change(this.#lastId, {});
    return this.#lastId;
  }

  /** As a watcher is told; code and screenshot go with the state they belong to. */
  change(id: bigint, changes: Partial<Session>): void {
    const one = this.#get(id);
    const passing = { qrCode: undefined, challengePng: Buffer.alloc(0), reason: '', changeTime: new Date() };
    one.session = { ...one.session, ...passing, ...changes };
    one.updates.push(one.session);
    if (one.session.state === SessionState.SESSION_STATE_RETIRED) {
      one.updates.end();
      this.#sessions.delete(id);
    }
  }

  state(id: bigint): SessionState | undefined {
    return this.#sessions.get(id)?.session.state;
  }

  handlers(): Handlers<typeof CrawlerServiceService> {
    return {
      openSession: async ({ label }) => ({ session: this.#get(this.open(label)).session }),
      listSessions: async () => {
        const bare = { qrCode: undefined, challengePng: Buffer.alloc(0) };
        return { sessions: [...this.#sessions.values()].map(({ session }) => ({ ...session, ...bare })) };
      },
      watchSession: (request, { signal }) => this.#watch(request.sessionId, signal),
      resolveChallenge: async ({ sessionId }) => {
        if (this.#get(sessionId).session.state !== SessionState.SESSION_STATE_PARKED)
          throw new FailedPreconditionError('is not parked', { place: `session ${sessionId}` });
        this.change(sessionId, { state: SessionState.SESSION_STATE_READY });
        return { session: this.#get(sessionId).session };
      },
      retireSession: async ({ sessionId }) => {
        const { session } = this.#get(sessionId);
        this.change(sessionId, { state: SessionState.SESSION_STATE_RETIRED });
        return { session: { ...session, state: SessionState.SESSION_STATE_RETIRED } };
      },
      checkBrowser: async () => ({
        installed: true,
        version: 'Chromium 153.0.7100.0',
        executablePath: '/usr/bin/chromium',
        advice: '',
      }),
      crawl: (requests) => this.#crawl(requests),
      getImages: async ({ query }) => {
        const outcome = this.outcomes.get(query);
        if (!outcome) throw new NotFoundError('is not in the cache', { place: query });
        return { outcome: CrawlOutcome.fromPartial(outcome) };
      },
      listFailures: async () => ({ failures: this.failures, total: BigInt(this.failures.length) }),
      drain: unsupported,
    };
  }

  async *#watch(id: bigint, signal: AbortSignal) {
    const { session, updates } = this.#get(id);
    const from = updates.length;
    yield { session };
    for await (const changed of updates.follow(signal, from)) yield { session: changed };
  }

  async *#crawl(requests: AsyncIterable<{ readonly queryId: bigint; readonly query: string }>) {
    for await (const { queryId, query } of requests) {
      await this.gate;
      const outcome = this.outcomes.get(query) ?? { state: QueryState.QUERY_STATE_NO_RESULTS };
      yield { queryId, outcome: CrawlOutcome.fromPartial(outcome) };
    }
  }

  #get(id: bigint): FakeSession {
    const one = this.#sessions.get(id);
    if (!one) throw new NotFoundError('no such session', { place: String(id) });
    return one;
  }
}
