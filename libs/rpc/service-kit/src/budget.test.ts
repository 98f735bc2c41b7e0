import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CancelledError, DeadlineExceededError, ResourceExhaustedError } from '@online-cnclip/foundation';
import { Budget, type BudgetLimits, type Entrant } from './budget.ts';

const LIMITS: BudgetLimits = { name: 'texts', unit: 'tokens', maxRunning: 10, maxWaiting: 100 };

/** A budget whose entrants note the order in which they begin. */
function budgetOf(limits: Partial<BudgetLimits> = {}) {
  const budget = new Budget({ ...LIMITS, ...limits });
  const begun: string[] = [];
  const refused: string[] = [];
  budget.onRefusal((reason) => refused.push(reason));
  const enter = (client: string, cost: number, more: Partial<Entrant> = {}) => {
    const turn = budget.enter({ client, cost, signal: new AbortController().signal, ...more });
    if (turn) turn.then(() => begun.push(client)).catch(() => {});
    else begun.push(client);
    return turn;
  };
  return { budget, begun, refused, enter };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('begins at once up to the limit, one call beyond it, and the next as cost is given back', async () => {
  const { budget, begun, enter } = budgetOf();
  assert.equal(enter('a', 9), undefined);
  assert.equal(enter('a', 50), undefined, 'the limit is not reached yet');
  const third = enter('a', 1);
  assert.ok(third);
  budget.leave(9);
  await nextTurn();
  assert.equal(begun.length, 2, '50 of 10 are still worked on');
  budget.leave(50);
  await third;
  assert.deepEqual([budget.running, budget.waiting], [1, 0]);
});

test('a flood of one client is passed by the calls of another', async () => {
  const { budget, begun, enter } = budgetOf({ maxWaiting: 10_000 });
  enter('running', 10);
  for (let call = 0; call < 50; call++) enter('flood', 10);
  for (let call = 0; call < 3; call++) enter('quiet', 10);
  begun.length = 0;
  for (let call = 0; call < 8; call++) {
    budget.leave(10);
    await nextTurn();
  }
  assert.deepEqual(begun.slice(0, 6).filter((client) => client === 'quiet').length, 3);
  // Whoever comes later is not behind the flood either, nor made up for what it did not ask for.
  enter('late', 10);
  begun.length = 0;
  for (let call = 0; call < 2; call++) {
    budget.leave(10);
    await nextTurn();
  }
  assert.ok(begun.includes('late'));
});

test('turns are by cost: a client of large calls does not get more than one of small ones', async () => {
  const { budget, begun, enter } = budgetOf({ maxRunning: 1, maxWaiting: 100_000 });
  enter('running', 1);
  for (let call = 0; call < 40; call++) enter('large', 100);
  for (let call = 0; call < 400; call++) enter('small', 10);
  begun.length = 0;
  let running = 1;
  for (let call = 0; call < 220; call++) {
    budget.leave(running);
    await nextTurn();
    running = begun.at(-1) === 'large' ? 100 : 10;
  }
  const large = begun.filter((client) => client === 'large').length;
  assert.ok(large >= 19 && large <= 21, `${large} large calls among 220`);
});

test('a full queue refuses at once, naming limit and state; a flood leaves room for others', () => {
  const { budget, refused, enter } = budgetOf();
  enter('flood', 10);
  for (let call = 0; call < 8; call++) assert.ok(enter('flood', 10));
  assert.throws(() => enter('flood', 10), ResourceExhaustedError);
  assert.ok(enter('other', 10), 'there is room for another client');
  assert.throws(
    () => enter('flood', 20),
    /90 of 100 tokens wait in the queue of texts, 80 of them of this client, and 10 of 10 are worked on; 20 more do not fit/,
  );
  assert.deepEqual(refused, ['client-queue-full', 'queue-full']);
  assert.equal(budget.waiting, 90);
});

test('a call larger than the queue waits when no other does; a message of a stream always may', () => {
  const { budget, enter } = budgetOf();
  enter('a', 10);
  assert.ok(enter('a', 500));
  assert.throws(() => enter('b', 1), ResourceExhaustedError);
  assert.ok(enter('b', 1, { patient: true }));
  assert.equal(budget.waiting, 501);
});

test('an aborted entrant leaves the queue at once, and its cost with it', async () => {
  const { budget, enter } = budgetOf();
  const [cancelled, late] = [new AbortController(), new AbortController()];
  enter('a', 10);
  const first = enter('a', 5, { signal: cancelled.signal });
  const second = enter('a', 6, { signal: late.signal });
  cancelled.abort();
  assert.equal(budget.waiting, 6);
  late.abort(new DeadlineExceededError('the deadline passed'));
  const { running, waiting, waitingCalls } = budget;
  assert.deepEqual({ running, waiting, waitingCalls }, { running: 10, waiting: 0, waitingCalls: 0 });
  await assert.rejects(first as Promise<void>, CancelledError);
  await assert.rejects(second as Promise<void>, DeadlineExceededError);
  assert.throws(() => enter('a', 1, { signal: cancelled.signal }), CancelledError);
  budget.leave(10);
  assert.deepEqual([budget.running, budget.waiting], [0, 0]);
});

test('a call whose turn would come too late is refused at once', (context) => {
  context.mock.timers.enable({ apis: ['Date'] });
  const { budget, refused, enter } = budgetOf({ maxWaiting: 10_000 });
  const within = (ms: number) => ({ deadline: new Date(Date.now() + ms) });
  enter('a', 10);
  for (let call = 0; call < 99; call++) enter('a', 10);
  assert.ok(enter('a', 10, within(1)), 'nothing is known of how long a call takes');
  budget.leave(10, 100);
  // 10 tokens in 100 ms: the 990 that wait begin in ten seconds, and take another 100 ms.
  assert.throws(
    () => enter('a', 10, within(10_000)),
    /it would take 10100 ms and its deadline is in 10000 ms/,
  );
  assert.deepEqual(refused, ['deadline-too-near']);
  assert.ok(enter('b', 10, within(1_000)), 'another client has its turn sooner');
  assert.ok(enter('a', 10, within(10_400)));
});

test('a call that could not be done in time any more is not begun, but one always is', async (context) => {
  context.mock.timers.enable({ apis: ['Date'] });
  const { budget, begun, enter } = budgetOf({ maxRunning: 20 });
  const within = (ms: number) => ({ deadline: new Date(Date.now() + ms) });
  enter('a', 10);
  enter('a', 10);
  const late = enter('a', 10, within(50));
  const last = enter('a', 10, within(99));
  budget.leave(10, 100);
  await assert.rejects(late as Promise<void>, /too little time was left/);
  await assert.rejects(last as Promise<void>, DeadlineExceededError);
  assert.deepEqual([budget.running, budget.waiting], [10, 0]);
  const inTime = enter('b', 10, within(101));
  assert.equal(inTime, undefined);
  const tried = enter('c', 30, within(10));
  budget.leave(20);
  await tried;
  assert.equal(begun.at(-1), 'c');
});
