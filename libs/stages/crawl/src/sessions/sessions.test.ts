import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  CancelledError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
  silentLogger,
} from '@online-cnclip/foundation';
import { ChallengeError } from '../browser/errors.ts';
import { TokenBucket } from '../manners/token-bucket.ts';
import { Sealer } from '../sealing/sealer.ts';
import { FakeSite } from '../testing/fake-site.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { waitUntil } from '../testing/wait-until.ts';
import { LeaseLostError, NoSessionError, type NotNowError } from './lease.ts';
import { LmdbSessionJournal, MemorySessionJournal, type SessionJournal } from './session-journal.ts';
import { Sessions, type SessionsOptions, type SessionView } from './sessions.ts';

const forever = new AbortController().signal;

describe('sessions', () => {
  let site: FakeSite;
  let opened: Sessions[];
  let bucket: TokenBucket;

  const open = (options: Partial<SessionsOptions> = {}): Sessions => {
    bucket = new TokenBucket({ intervalMs: 0, jitterMs: 0 });
    const sessions = new Sessions({
      journal: new MemorySessionJournal(),
      openBrowser: site.openBrowser,
      bucket,
      maxSessions: 4,
      dailyCap: 100,
      queryIntervalMs: 0,
      queryJitterMs: 0,
      leaseMs: 60_000,
      sessionWaitMs: 60_000,
      maxDeferralMs: 60_000,
      logger: silentLogger,
      ...options,
    });
    opened.push(sessions);
    return sessions;
  };
  const stateOf = async (
    sessions: Sessions,
    sessionId: bigint,
    ...states: SessionView['state'][]
  ): Promise<SessionView> =>
    waitUntil(
      () => {
        const view = sessions.get(sessionId);
        return states.includes(view.state) && view;
      },
      `session ${sessionId} ${states.join(' or ')}`,
    );
  const ready = async (sessions: Sessions): Promise<bigint> => {
    const { sessionId } = await sessions.open();
    await stateOf(sessions, sessionId, 'READY', 'LEASED');
    return sessionId;
  };

  beforeEach(() => {
    site = new FakeSite();
    opened = [];
  });
  afterEach(() => Promise.all(opened.map((sessions) => sessions.close())));

  it('logs in under the eyes of a watcher, and shows the code to nobody else', async () => {
    const sessions = open();
    const { sessionId } = await sessions.open('first');
    const seen: string[] = [];
    for await (const view of sessions.watch(sessionId, forever)) {
      seen.push(view.state);
      if (view.state === 'LOGIN_WAIT')
        assert.deepEqual(Buffer.from(view.qrCode?.png ?? []), Buffer.from('picture 1'));
      else assert.equal(view.qrCode, undefined);
      if (view.state === 'READY') break;
    }
    assert.ok(seen.includes('LOGIN_WAIT'));
    assert.deepEqual(
      sessions.list().map(({ label, state }) => ({ label, state })),
      [{ label: 'first', state: 'READY' }],
    );
  });

  it('retires a session that nobody logs in, and says so to its watcher', async () => {
    site.phone = 'never';
    const sessions = open();
    const { sessionId } = await sessions.open();
    let last: SessionView | undefined;
    for await (const view of sessions.watch(sessionId, forever)) last = view;
    assert.equal(last?.state, 'RETIRED');
    assert.match(last?.reason ?? '', /nobody scanned and confirmed any of 2 QR codes/);
    assert.deepEqual(sessions.list(), []);
  });

  it('opens no more than configured, and refuses a label that is too long', async () => {
    const sessions = open({ maxSessions: 1 });
    const sessionId = await ready(sessions);
    await assert.rejects(sessions.open(), ResourceExhaustedError);
    await sessions.retire(sessionId);
    await assert.rejects(sessions.open('x'.repeat(65)), InvalidInputError);
    await ready(sessions);
    await assert.rejects(sessions.retire(99n), NotFoundError);
  });

  it('leases a session to one at a time, first come first served', async () => {
    const sessions = open();
    await ready(sessions);
    const first = await sessions.lease(forever);
    const order: string[] = [];
    const second = sessions.lease(forever).then((lease) => {
      order.push('second');
      return lease;
    });
    const third = sessions.lease(forever).then((lease) => {
      order.push('third');
      return lease;
    });
    assert.equal(sessions.get(first.sessionId).state, 'LEASED');
    first.release({ kind: 'ready' });
    const lease = await second;
    assert.deepEqual(order, ['second']);
    assert.ok(lease.fencingToken > first.fencingToken);
    // Whoever is late gives back nothing.
    first.release({ kind: 'logged-out' });
    lease.requireCurrent();
    lease.release({ kind: 'ready' });
    (await third).release({ kind: 'ready' });
  });

  it('takes a lease away that runs out, and its holder has nothing of it', async () => {
    const sessions = open({ leaseMs: 30 });
    const sessionId = await ready(sessions);
    const lease = await sessions.lease(forever);
    lease.requireCurrent();
    await waitUntil(() => lease.signal.aborted, 'lease lost');
    assert.throws(() => lease.requireCurrent(), LeaseLostError);
    await stateOf(sessions, sessionId, 'READY');
    assert.equal(site.browsers.length, 2);
    lease.release({ kind: 'logged-out' });
    assert.equal(sessions.get(sessionId).state, 'READY');
  });

  it('keeps the searches of one session apart, from the end of one to the next', async () => {
    const sessions = open({ queryIntervalMs: 40 });
    await ready(sessions);
    let ended = 0;
    for (let i = 0; i < 3; i += 1) {
      const lease = await sessions.lease(forever);
      if (i > 0) assert.ok(performance.now() - ended >= 38);
      ended = performance.now();
      lease.release({ kind: 'ready' });
    }
  });

  it('gives no session more than its queries of the day', async () => {
    let now = Date.UTC(2026, 0, 1, 12);
    const sessions = open({ dailyCap: 2, now: () => now });
    const sessionId = await ready(sessions);
    for (let i = 0; i < 2; i += 1) (await sessions.lease(forever)).release({ kind: 'ready' });
    await stateOf(sessions, sessionId, 'READY');
    await assert.rejects(
      sessions.lease(forever),
      (error: NotNowError) => error.why === 'daily-cap' && error.until === Date.UTC(2026, 0, 2),
    );
    now = Date.UTC(2026, 0, 2);
    (await sessions.lease(forever)).release({ kind: 'ready' });
    assert.equal(sessions.get(sessionId).queriesToday, 1);
  });

  it('leaves the site alone when it asks for it, whoever else is ready', async () => {
    const sessions = open();
    await ready(sessions);
    await ready(sessions);
    const lease = await sessions.lease(forever);
    const resumeAt = Date.now() + 60;
    bucket.pauseUntil(resumeAt);
    lease.release({ kind: 'cooling', resumeAt, reason: '429' });
    assert.equal((await stateOf(sessions, lease.sessionId, 'COOLING')).resumeAt, resumeAt);
    (await sessions.lease(forever)).release({ kind: 'ready' });
    assert.ok(Date.now() >= resumeAt - 1);
    await stateOf(sessions, lease.sessionId, 'READY');
    // A rest that nobody wants to wait for is said at once.
    bucket.pauseUntil(Date.now() + 100_000);
    await assert.rejects(sessions.lease(forever), (error: NotNowError) => error.why === 'rate-limited');
  });

  it('parks a challenge until a person has looked', async () => {
    const sessions = open({ sessionWaitMs: 20 });
    const sessionId = await ready(sessions);
    const lease = await sessions.lease(forever);
    lease.release({ kind: 'challenge', screenshotPng: Buffer.from('picture') });
    const parked = await stateOf(sessions, sessionId, 'PARKED');
    assert.deepEqual(Buffer.from(parked.challengePng ?? []), Buffer.from('picture'));
    await assert.rejects(sessions.lease(forever), NoSessionError);
    site.probes.push('challenge');
    await sessions.resolve(sessionId);
    await stateOf(sessions, sessionId, 'PARKED');
    await sessions.resolve(sessionId);
    await stateOf(sessions, sessionId, 'READY');
    await assert.rejects(sessions.resolve(sessionId), FailedPreconditionError);
  });

  it('parks a challenge of the log-in too', async () => {
    const sessions = open();
    site.openBrowser = async () => {
      const browser = await new FakeSite().openBrowser();
      browser.logIn = () => Promise.reject(new ChallengeError('http://shop/', Buffer.from('picture')));
      return browser;
    };
    const other = open({ openBrowser: site.openBrowser });
    const { sessionId } = await other.open();
    await stateOf(other, sessionId, 'PARKED');
    assert.deepEqual(sessions.list(), []);
  });

  it('lets an expired session log in again', async () => {
    const sessions = open();
    const sessionId = await ready(sessions);
    const lease = await sessions.lease(forever);
    lease.release({ kind: 'logged-out' });
    await stateOf(sessions, sessionId, 'EXPIRED');
    site.phone = 'never';
    await sessions.resolve(sessionId);
    await stateOf(sessions, sessionId, 'LOGIN_WAIT', 'EXPIRED');
    await waitUntil(() => /nobody scanned/.test(sessions.get(sessionId).reason), 'the log-in to fail');
    assert.equal(sessions.get(sessionId).state, 'EXPIRED');
    site.phone = 'confirms';
    // Impatience changes nothing: one log-in goes on.
    const codes = site.codes;
    await Promise.all([
      sessions.resolve(sessionId),
      sessions.resolve(sessionId),
      sessions.resolve(sessionId),
    ]);
    await stateOf(sessions, sessionId, 'READY');
    (await sessions.lease(forever)).release({ kind: 'ready' });
    await stateOf(sessions, sessionId, 'READY');
    assert.equal(site.codes, codes + 1);
  });

  it('starts a new browser for one that died, with the same cookies', async () => {
    const sessions = open();
    const sessionId = await ready(sessions);
    site.browsers[0]?.die();
    await waitUntil(
      () => site.browsers.length === 2 && sessions.get(sessionId).state === 'READY',
      'a new browser',
    );
    assert.ok(site.browsers[1]?.isLoggedIn);
  });

  it('suspects a session whose page is not understood', async () => {
    const sessions = open();
    const sessionId = await ready(sessions);
    site.probes.push('unexpected');
    (await sessions.lease(forever)).release({ kind: 'doubtful', reason: 'no search box' });
    await stateOf(sessions, sessionId, 'SUSPECT');
    await sessions.resolve(sessionId);
    await stateOf(sessions, sessionId, 'READY');
  });

  it('waits for a session while one may come, then says that there is none', async () => {
    const sessions = open({ sessionWaitMs: 30 });
    await assert.rejects(sessions.lease(forever), NoSessionError);
    const patient = open();
    const waiting = patient.lease(forever);
    await ready(patient);
    (await waiting).release({ kind: 'ready' });
    const abort = new AbortController();
    const lease = await patient.lease(forever);
    const leaving = patient.lease(abort.signal);
    abort.abort();
    await assert.rejects(leaving, CancelledError);
    lease.release({ kind: 'ready' });
  });

  describe('after a restart', () => {
    const sealer = new Sealer(randomBytes(32));
    const restart = async (sessions: Sessions, folder: string, key = sealer): Promise<Sessions> => {
      await sessions.close();
      opened.splice(opened.indexOf(sessions), 1);
      return open({ journal: journalIn(folder, key) });
    };
    const journalIn = (folder: string, key = sealer): SessionJournal => new LmdbSessionJournal(folder, key);

    it('come back without a new scan', async (context) => {
      const folder = temporaryFolder(context);
      const before = open({ journal: journalIn(folder) });
      const sessionId = await ready(before);
      const after = await restart(before, folder);
      await stateOf(after, sessionId, 'READY');
      assert.ok(site.browsers.at(-1)?.isLoggedIn);
      assert.notEqual(await ready(after), sessionId);
    });

    it('have nothing readable on the disk', async (context) => {
      const folder = temporaryFolder(context);
      const sessions = open({ journal: journalIn(folder) });
      await ready(sessions);
      for (const file of readdirSync(folder)) {
        const content = readFileSync(join(folder, file), 'latin1');
        assert.ok(!content.includes('secret') && !content.includes('picture 1'), file);
      }
    });

    it('are expired where the key is another', async (context) => {
      const folder = temporaryFolder(context);
      const before = open({ journal: journalIn(folder) });
      const sessionId = await ready(before);
      const after = await restart(before, folder, new Sealer(randomBytes(32)));
      await stateOf(after, sessionId, 'EXPIRED');
    });

    it('still rest, wait for a person, or have ended with their log-in', async (context) => {
      const folder = temporaryFolder(context);
      const before = open({ journal: journalIn(folder) });
      const [cooling, parked] = [await ready(before), await ready(before)];
      const resumeAt = Date.now() + 200;
      for (let i = 0; i < 2; i += 1) {
        const lease = await before.lease(forever);
        if (lease.sessionId === cooling) lease.release({ kind: 'cooling', resumeAt, reason: '429' });
        else lease.release({ kind: 'challenge', screenshotPng: Buffer.from('picture') });
      }
      site.phone = 'never';
      const after = await restart(before, folder);
      assert.equal(after.get(cooling).state, 'COOLING');
      assert.equal(bucket.resumeAt, resumeAt);
      assert.equal(after.get(parked).state, 'PARKED');
      await stateOf(after, cooling, 'READY');
      assert.ok(Date.now() >= resumeAt - 1);
    });
  });
});
