import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { AbortedError, NotFoundError } from '@online-cnclip/foundation';
import { Sealer } from '../sealing/sealer.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { SessionBook } from './session-book.ts';
import { LmdbSessionJournal, MemorySessionJournal, type SessionJournal } from './session-journal.ts';
import { canBecome, SESSION_STATES } from './states.ts';

const open = (journal: SessionJournal = new MemorySessionJournal()) =>
  new SessionBook(
    journal,
    () => 1_000,
    () => {},
  );

test('every state ends as RETIRED, and RETIRED as nothing', () => {
  for (const state of SESSION_STATES) {
    assert.equal(canBecome(state, 'RETIRED'), state !== 'RETIRED');
    assert.ok(!canBecome('RETIRED', state));
  }
  // A challenge is parked from wherever it is met, and only a person brings the session back.
  assert.deepEqual(
    SESSION_STATES.filter((state) => canBecome('PARKED', state)),
    ['PROBING', 'RETIRED'],
  );
  // Nothing but a probe makes a session ready, or the end of its query or rest.
  assert.deepEqual(
    SESSION_STATES.filter((state) => canBecome(state, 'READY')),
    ['PROBING', 'LEASED', 'COOLING'],
  );
});

test('a transition is compared with what was read, and with the table', () => {
  const book = open();
  const read = book.create('a');
  const waiting = book.transition(read, 'LOGIN_WAIT', { reason: 'scan' });
  assert.throws(() => book.transition(read, 'PROBING'), {
    name: 'AbortedError',
    message: /has become LOGIN_WAIT/,
  });
  assert.throws(() => book.transition(waiting, 'READY'), AbortedError);
  assert.equal(book.get(1n).state, 'LOGIN_WAIT');
  assert.throws(() => book.get(9n), NotFoundError);
});

test('what is not journalled did not happen', () => {
  const journal = new MemorySessionJournal();
  const book = open(journal);
  const read = book.create('a');
  journal.append = () => {
    throw new Error('disk full');
  };
  assert.throws(() => book.transition(read, 'LOGIN_WAIT'), /disk full/);
  assert.equal(book.get(1n).state, 'NEW');
});

test('the journal brings sessions, their history and cookies back, and numbers none twice', async (context) => {
  const folder = temporaryFolder(context);
  const sealer = new Sealer(randomBytes(32));
  const first = new LmdbSessionJournal(folder, sealer);
  const book = open(first);
  const record = book.transition(book.create('a'), 'LOGIN_WAIT', { reason: 'scan', queriesToday: 3 });
  const cookies = [{ name: 'a', value: 'b', domain: 'c', path: '/', httpOnly: true, secure: true }];
  first.saveCookies(1n, cookies);
  await first.close();
  const second = new LmdbSessionJournal(folder, sealer);
  assert.deepEqual(open(second).all(), [record]);
  assert.deepEqual(second.loadCookies(1n), cookies);
  assert.deepEqual(
    second.transitions(10).map(({ from, to }) => [from, to]),
    [
      ['NEW', 'LOGIN_WAIT'],
      [undefined, 'NEW'],
    ],
  );
  assert.equal(open(second).create('b').sessionId, 2n);
  second.forgetCookies(1n);
  assert.equal(second.loadCookies(1n), undefined);
  await second.close();
});
