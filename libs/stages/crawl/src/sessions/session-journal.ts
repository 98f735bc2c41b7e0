import { DataLossError } from '@online-cnclip/foundation';
import { type ByteDatabase, Environment } from '@online-cnclip/image-cache';
import type { SiteCookie } from '../browser/site-browser.ts';
import type { Sealer } from '../sealing/sealer.ts';
import type { SessionRecord, Transition } from './session-record.ts';
import { SESSION_STATES } from './states.ts';

/** Where sessions are written down before anything else is done with them. */
export interface SessionJournal {
  /** Sessions as they were left. */
  load(): SessionRecord[];
  nextSessionId(): bigint;
  /** On the disk when it returns. */
  append(record: SessionRecord, transition: Transition): void;
  saveCookies(sessionId: bigint, cookies: readonly SiteCookie[]): void;
  /** @throws DataLossError when they cannot be unsealed. */
  loadCookies(sessionId: bigint): readonly SiteCookie[] | undefined;
  forgetCookies(sessionId: bigint): void;
  /** Latest first. */
  transitions(limit: number): (Transition & { readonly sessionId: bigint })[];
  close(): Promise<void>;
}

const COOKIES_SCHEMA = 'cookies/1';

/** A session journals two lines per query; older ones than these are dropped. */
const MAX_TRANSITIONS = 10_000;

/** Sessions, their history and their sealed cookies are small: this is for thousands of sessions. */
const MAX_JOURNAL_BYTES = 2 ** 30;

const SESSIONS = 'sessions';
const TRANSITIONS = 'transitions';
const COOKIES = 'cookies';
const META = 'meta';
const NEXT_SESSION = Buffer.from('next_session_id');
const NEXT_TRANSITION = Buffer.from('next_transition');

type Json = Omit<SessionRecord, 'sessionId'> & { readonly sessionId: string };

/** In an LMDB, cookies sealed. */
export class LmdbSessionJournal implements SessionJournal {
  readonly #environment: Environment;
  readonly #sealer: Sealer;
  readonly #sessions: ByteDatabase;
  readonly #transitions: ByteDatabase;
  readonly #cookies: ByteDatabase;
  readonly #meta: ByteDatabase;

  constructor(folder: string, sealer: Sealer) {
    const databases = [SESSIONS, TRANSITIONS, COOKIES, META];
    this.#environment = Environment.open(folder, { databases, maxBytes: MAX_JOURNAL_BYTES });
    this.#sealer = sealer;
    this.#sessions = this.#environment.database(SESSIONS);
    this.#transitions = this.#environment.database(TRANSITIONS);
    this.#cookies = this.#environment.database(COOKIES);
    this.#meta = this.#environment.database(META);
  }

  load(): SessionRecord[] {
    return [...this.#sessions.getRange()].map(({ value }) => this.#decode(value));
  }

  nextSessionId(): bigint {
    return this.#environment.write(() => this.#count(NEXT_SESSION));
  }

  append(record: SessionRecord, transition: Transition): void {
    this.#environment.write(() => {
      const sequence = this.#count(NEXT_TRANSITION);
      const json = { ...transition, sessionId: String(record.sessionId) };
      this.#transitions.putSync(numberKey(sequence), Buffer.from(JSON.stringify(json)));
      this.#transitions.removeSync(
        numberKey(sequence > MAX_TRANSITIONS ? sequence - BigInt(MAX_TRANSITIONS) : 0n),
      );
      const { sessionId } = record;
      this.#sessions.putSync(
        numberKey(sessionId),
        Buffer.from(JSON.stringify({ ...record, sessionId: String(sessionId) } satisfies Json)),
      );
    });
  }

  saveCookies(sessionId: bigint, cookies: readonly SiteCookie[]): void {
    const plain = Buffer.from(JSON.stringify(cookies));
    const sealed = this.#sealer.seal({ sessionId, schema: COOKIES_SCHEMA }, plain);
    this.#environment.write(() => this.#cookies.putSync(numberKey(sessionId), sealed));
  }

  loadCookies(sessionId: bigint): readonly SiteCookie[] | undefined {
    const sealed = this.#cookies.getBinary(numberKey(sessionId));
    if (!sealed) return undefined;
    const plain = this.#sealer.open({ sessionId, schema: COOKIES_SCHEMA }, sealed);
    return JSON.parse(plain.toString('utf8')) as SiteCookie[];
  }

  forgetCookies(sessionId: bigint): void {
    this.#environment.write(() => this.#cookies.removeSync(numberKey(sessionId)));
  }

  transitions(limit: number): (Transition & { sessionId: bigint })[] {
    return [...this.#transitions.getRange({ reverse: true, limit })].map(({ value }) => {
      const json = JSON.parse(value.toString('utf8')) as Transition & { sessionId: string };
      return { ...json, sessionId: BigInt(json.sessionId) };
    });
  }

  close(): Promise<void> {
    return this.#environment.close();
  }

  #count(key: Buffer): bigint {
    const number = this.#meta.getBinary(key)?.readBigUInt64BE() ?? 1n;
    this.#meta.putSync(key, numberKey(number + 1n));
    return number;
  }

  #decode(bytes: Buffer): SessionRecord {
    const json = JSON.parse(bytes.toString('utf8')) as Json;
    if (!SESSION_STATES.includes(json.state))
      throw new DataLossError(`unknown session state ${JSON.stringify(json.state)}`, {
        place: this.#environment.folder,
      });
    return { ...json, sessionId: BigInt(json.sessionId), resumeAt: json.resumeAt };
  }
}

/** Without a key nothing of a session may touch the disk: they end with the process. */
export class MemorySessionJournal implements SessionJournal {
  readonly #sessions = new Map<bigint, SessionRecord>();
  readonly #transitions: (Transition & { sessionId: bigint })[] = [];
  readonly #cookies = new Map<bigint, readonly SiteCookie[]>();
  #next = 1n;

  load(): SessionRecord[] {
    return [...this.#sessions.values()];
  }

  nextSessionId(): bigint {
    const sessionId = this.#next;
    this.#next += 1n;
    return sessionId;
  }

  append(record: SessionRecord, transition: Transition): void {
    this.#sessions.set(record.sessionId, record);
    this.#transitions.unshift({ ...transition, sessionId: record.sessionId });
    this.#transitions.length = Math.min(this.#transitions.length, MAX_TRANSITIONS);
  }

  saveCookies(sessionId: bigint, cookies: readonly SiteCookie[]): void {
    this.#cookies.set(sessionId, cookies);
  }

  loadCookies(sessionId: bigint): readonly SiteCookie[] | undefined {
    return this.#cookies.get(sessionId);
  }

  forgetCookies(sessionId: bigint): void {
    this.#cookies.delete(sessionId);
  }

  transitions(limit: number): (Transition & { sessionId: bigint })[] {
    return this.#transitions.slice(0, limit);
  }

  async close(): Promise<void> {}
}

function numberKey(number: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(number);
  return key;
}
