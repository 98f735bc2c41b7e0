import { AbortedError, NotFoundError } from '@online-cnclip/foundation';
import type { SessionJournal } from './session-journal.ts';
import type { SessionRecord } from './session-record.ts';
import { dayOf } from './session-record.ts';
import { canBecome, type SessionState } from './states.ts';

type Changes = Partial<Pick<SessionRecord, 'reason' | 'resumeAt' | 'day' | 'queriesToday' | 'fencingToken'>>;

/** Sessions as they are: each change is compared, journalled, and only then takes effect. */
export class SessionBook {
  readonly #journal: SessionJournal;
  readonly #now: () => number;
  readonly #onChange: (record: SessionRecord) => void;
  readonly #records = new Map<bigint, SessionRecord>();

  constructor(journal: SessionJournal, now: () => number, onChange: (record: SessionRecord) => void) {
    this.#journal = journal;
    this.#now = now;
    this.#onChange = onChange;
    for (const record of journal.load()) this.#records.set(record.sessionId, record);
  }

  /** In the order they were opened. */
  all(): SessionRecord[] {
    return [...this.#records.values()].sort((a, b) => Number(a.sessionId - b.sessionId));
  }

  /** @throws NotFoundError */
  get(sessionId: bigint): SessionRecord {
    const record = this.#records.get(sessionId);
    if (!record) throw new NotFoundError(`there is no session ${sessionId}`, { place: 'session_id' });
    return record;
  }

  create(label: string): SessionRecord {
    const now = this.#now();
    const record: SessionRecord = {
      sessionId: this.#journal.nextSessionId(),
      label,
      state: 'NEW',
      reason: '',
      resumeAt: undefined,
      day: dayOf(now),
      queriesToday: 0,
      fencingToken: 0,
      openedAt: now,
      changedAt: now,
      version: 1,
    };
    this.#apply(record, undefined);
    return record;
  }

  /**
   * Changes a session that is still as `expected` was read.
   *
   * @throws AbortedError when it has changed since, or has no such transition.
   */
  transition(expected: SessionRecord, to: SessionState, changes: Changes = {}): SessionRecord {
    const current = this.get(expected.sessionId);
    const place = `session ${expected.sessionId}`;
    if (current.version !== expected.version)
      throw new AbortedError(`has become ${current.state} meanwhile`, { place });
    if (!canBecome(current.state, to))
      throw new AbortedError(`cannot become ${to} from ${current.state}`, { place });
    const record: SessionRecord = {
      ...current,
      reason: '',
      resumeAt: undefined,
      ...changes,
      state: to,
      changedAt: this.#now(),
      version: current.version + 1,
    };
    this.#apply(record, current.state);
    return record;
  }

  #apply(record: SessionRecord, from: SessionState | undefined): void {
    const { state: to, reason, changedAt: at } = record;
    this.#journal.append(record, { from, to, reason, at });
    this.#records.set(record.sessionId, record);
    this.#onChange(record);
  }
}
