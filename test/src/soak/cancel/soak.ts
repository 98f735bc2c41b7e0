import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { createRankerClient } from '@online-cnclip/client';
import { CreateIndexRequest } from '@online-cnclip/contracts/ranker/v1';
import { Chance } from '../chance.ts';
import { makeMessage } from '../fuzz/messages.ts';
import { type Method, ourMethods } from '../fuzz/methods.ts';
import { makeData, type Subject, startSubjects } from '../fuzz/subjects.ts';
import type { Known } from '../fuzz/values.ts';
import { atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { TINY_DIMENSION } from '../tiny-data.ts';
import { latenciesOf } from '../traffic/percentiles.ts';
import { frameOf, RawClient } from '../traffic/raw-client.ts';
import { GOOD_MESSAGES, INDEX, LARGE_TEXTS } from './good-messages.ts';
import { Metrics } from './metrics.ts';

type CancelBounds = { readonly minutes: number; readonly rounds: number; readonly lateCalls: number };

/** Where a call is when it is cancelled. */
const STATES = ['queued', 'running', 'streaming', 'finished'] as const;
type State = (typeof STATES)[number];

/** A call that runs is cancelled within so long after it began. */
const MAX_RUNNING_MS = 30;

const MAX_STOP_MS = 100;

/** They stop between two steps: one computes for as long as the model is large, the other waits for the disk. */
const STEPWISE = new Set(['LoadModel', 'BuildDataset']);

/** Work that goes on for so long after its cancel does not stop at all. */
const HANG_MS = 60_000;

const POLL_MS = 5;

const SHOWN_SLOWEST = 8;

/** Enough large calls that the next one waits. */
const QUEUE_CALLS = 3;

/** Fewer cases are the short form: times only inform. */
const MIN_JUDGED_ROUNDS = 3;

/** They end the service's work for good. */
const WITHOUT = new Set(['Drain']);

/** What a service has in work, whatever it is. */
const IN_WORK = [
  'onlinecnclip_rpc_in_flight_calls',
  'onlinecnclip_rpc_admitted_cost',
  'onlinecnclip_rpc_queued_calls',
  'onlinecnclip_rpc_queued_cost',
  'onlinecnclip_encoder_queued_texts',
  'onlinecnclip_encoder_queued_images',
];

const IN_FLIGHT = 'onlinecnclip_rpc_in_flight_calls';
const RECEIVED = 'onlinecnclip_rpc_received_messages_total';
const COMPUTED = 'onlinecnclip_encoder_batch_items_count';

export const soak = defineSoak<CancelBounds>({
  name: 'cancel',
  description: 'every rpc cancelled while it waits, runs, streams and after its end; deadlines that are past',
  bounds: {
    short: { minutes: 5, rounds: 1, lateCalls: 50 },
    default: { minutes: 20, rounds: 10, lateCalls: 1_000 },
    long: { minutes: 120, rounds: 100, lateCalls: 10_000 },
  },
  run: (context) => new Cancelling(context).run(),
});

interface Target {
  readonly subject: Subject;
  readonly metrics: Metrics;
}

class Cancelling {
  readonly #context: SoakContext<CancelBounds>;
  readonly #stopMs: number[] = [];
  readonly #stepMs: number[] = [];
  readonly #cases: Record<State, number> = { queued: 0, running: 0, streaming: 0, finished: 0 };
  readonly #methods = new Set<string>();
  readonly #slow = new Map<string, number>();
  #hanging = 0;

  constructor(context: SoakContext<CancelBounds>) {
    this.#context = context;
  }

  async run(): Promise<{ figures: Figure[] }> {
    const { bounds, folder, children, timeUp, seed } = this.#context;
    const { dataFolder, known } = await makeData(folder);
    const subjects = await startSubjects(children, folder, dataFolder, ['--metrics-address', '127.0.0.1:0']);
    const targets = subjects
      .filter(({ label }) => label !== 'encoder-without-model')
      .map((subject) => ({ subject, metrics: new Metrics(String(subject.process.ready['metrics'])) }));
    for (const { subject } of targets)
      while (subject.label !== 'crawler' && !(await subject.isServing())) await sleep(50);
    await makeIndex(targets);
    for (let round = 0; round < bounds.rounds && !timeUp.aborted; round++)
      await Promise.all(
        targets.map((target, i) => this.#round(target, known, new Chance(seed, round * 10 + i))),
      );
    const encoder = targets.find(({ subject }) => subject.label === 'encoder') as Target;
    const late = await sendLate(encoder, bounds.lateCalls);
    const left = await Promise.all(targets.map(workLeft));
    const ended = subjects.filter((subject) => subject.end() !== undefined);
    return { figures: this.#figures(late, sum(left), ended.length) };
  }

  /** Each method of a service in each state that it can be in. */
  async #round(target: Target, known: Known, chance: Chance): Promise<void> {
    const { subject } = target;
    const methods = ourMethods().filter(
      ({ service, name }) => subject.services.includes(service) && !WITHOUT.has(name),
    );
    for (const method of methods)
      for (const state of STATES) {
        if (state === 'streaming' && !method.requestStream && !method.responseStream) continue;
        if (state === 'queued' && !method.name.startsWith('EncodeText') && method.name !== 'Encode') continue;
        await this.#cancelOnce(target, method, state, known, chance);
      }
  }

  async #cancelOnce(
    { subject, metrics }: Target,
    method: Method,
    state: State,
    known: Known,
    chance: Chance,
  ): Promise<void> {
    const messages = GOOD_MESSAGES[method.name] ?? [makeMessage(method.input, chance, known)];
    const queue = state === 'queued' ? await fillQueue(subject, metrics) : undefined;
    const call = new StartedCall(subject, method, messages);
    if (state === 'queued') await untilCalls(metrics, method, queue?.length ?? 0);
    if (state === 'running') await sleep(chance.below(MAX_RUNNING_MS));
    if (state === 'streaming') await call.firstAnswerOrEnd();
    if (state === 'finished') await Promise.race([call.ended, sleep(1_000)]);
    for (const other of queue ?? []) other.cancel();
    call.cancel();
    const cancelledAt = performance.now();
    await call.ended;
    await this.#awaitStop(metrics, method, `${method.name} ${state}`, cancelledAt);
    this.#cases[state]++;
    this.#methods.add(method.path);
  }

  async #awaitStop(metrics: Metrics, method: Method, name: string, cancelledAt: number): Promise<void> {
    const elapsedMs = () => performance.now() - cancelledAt;
    while ((await metrics.sum(IN_FLIGHT, `method="${method.path.slice(1)}"`)) > 0) {
      if (elapsedMs() > HANG_MS) {
        this.#hanging++;
        this.#context.tell(`${name} goes on ${HANG_MS} ms after it was cancelled`);
        return;
      }
      await sleep(POLL_MS);
    }
    if (STEPWISE.has(method.name)) this.#stepMs.push(elapsedMs());
    else this.#stopMs.push(elapsedMs());
    this.#slow.set(name, Math.max(this.#slow.get(name) ?? 0, elapsedMs()));
  }

  #figures(late: LateCalls, left: number, ended: number): Figure[] {
    const { count, p50, p99, max } = latenciesOf(this.#stopMs);
    const slowest = [...this.#slow].sort((a, b) => b[1] - a[1]).slice(0, SHOWN_SLOWEST);
    for (const [place, ms] of slowest) this.#context.tell(`slow: ${place}, ${ms.toFixed(0)} ms`);
    const judged = this.#context.bounds.rounds >= MIN_JUDGED_ROUNDS;
    const stop = atMost('p99 of the time until work stops', p99, MAX_STOP_MS, 'ms');
    const { name, value, unit } = stop;
    return [
      { name: 'methods', value: this.#methods.size, unit: '' },
      ...STATES.map((state) => ({ name: `cancelled while ${state}`, value: this.#cases[state], unit: '' })),
      { name: 'stops seen', value: count, unit: '' },
      { name: 'p50 of the time until work stops', value: p50, unit: 'ms' },
      judged ? stop : { name, value, unit },
      { name: 'longest', value: max, unit: 'ms' },
      { name: 'longest of LoadModel and BuildDataset', value: latenciesOf(this.#stepMs).max, unit: 'ms' },
      exactly('calls that go on', this.#hanging, 0),
      exactly('calls, cost and items left in the end', left, 0),
      { name: 'calls whose deadline is past', value: late.sent, unit: '' },
      exactly('of them refused as late', late.refused, late.sent),
      exactly('of them handed to a handler', late.handled, 0),
      exactly('of them computed', late.computed, 0),
      exactly('services that ended', ended, 0),
    ];
  }
}

/** A call that goes on until it is cancelled. */
class StartedCall {
  readonly ended: Promise<void>;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;

  constructor({ client }: Subject, { path, requestStream }: Method, messages: readonly Buffer[]) {
    const same = (bytes: Buffer): Buffer => bytes;
    // As a stream both ways each kind of call is the same to a client; the server knows what it takes.
    this.#call = client.makeBidiStreamRequest(path, same, same, {});
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#call.on('error', () => {});
    this.#call.on('data', () => {});
    this.#call.on('status', () => resolve());
    for (const message of requestStream ? messages : messages.slice(0, 1)) this.#call.write(message);
    if (!requestStream) this.#call.end();
  }

  async firstAnswerOrEnd(): Promise<void> {
    const answer = Promise.withResolvers<void>();
    this.#call.once('data', () => answer.resolve());
    // Streams of requests may have no answer before their end.
    await Promise.race([answer.promise, this.ended, sleep(300)]);
  }

  cancel(): void {
    this.#call.cancel();
  }
}

/** Fills the encoder's budget, so that the next call waits. */
async function fillQueue(subject: Subject, metrics: Metrics): Promise<StartedCall[]> {
  const method = ourMethods().find(({ name }) => name === 'EncodeText') as Method;
  const calls = Array.from(
    { length: QUEUE_CALLS },
    () => new StartedCall(subject, method, [Buffer.from(LARGE_TEXTS)]),
  );
  await untilCalls(metrics, method, QUEUE_CALLS);
  return calls;
}

/** Until the service has as many calls, or they have ended already. */
async function untilCalls(metrics: Metrics, { path }: Method, count: number): Promise<void> {
  for (let look = 0; look < 20; look++) {
    if ((await metrics.sum(IN_FLIGHT, `method="${path.slice(1)}"`)) >= count) return;
    await sleep(POLL_MS);
  }
}

async function makeIndex(targets: readonly Target[]): Promise<void> {
  const ranker = targets.find(({ subject }) => subject.label === 'ranker');
  if (!ranker) throw new Error('no ranker');
  const client = createRankerClient(ranker.subject.process.address);
  await client.createIndex(CreateIndexRequest.fromPartial({ name: INDEX, dimension: TINY_DIMENSION }));
  client.close();
}

interface LateCalls {
  readonly sent: number;
  readonly refused: number;
  readonly handled: number;
  readonly computed: number;
}

/** Calls that are told a deadline of no time at all. */
async function sendLate({ subject, metrics }: Target, count: number): Promise<LateCalls> {
  const method = ourMethods().find(({ name }) => name === 'EncodeText') as Method;
  const label = `method="${method.path.slice(1)}"`;
  const before = [await metrics.sum(RECEIVED, label), await metrics.sum(COMPUTED)] as const;
  const client = await RawClient.connect(subject.process.address);
  const [message] = GOOD_MESSAGES['EncodeText'] as [Buffer];
  let refused = 0;
  for (let sent = 0; sent < count; sent++) {
    const { code } = await client.call(method.path, frameOf(message), HANG_MS, 0);
    if (code === status.DEADLINE_EXCEEDED) refused++;
  }
  client.close();
  const handled = (await metrics.sum(RECEIVED, label)) - before[0];
  return { sent: count, refused, handled, computed: (await metrics.sum(COMPUTED)) - before[1] };
}

/** What a service still has in work when everything was cancelled; batches that had begun end first. */
async function workLeft({ metrics }: Target): Promise<number> {
  let left = Number.NaN;
  for (const until = Date.now() + HANG_MS; left !== 0 && Date.now() < until; ) {
    await sleep(POLL_MS);
    left = sum(await Promise.all(IN_WORK.map((name) => metrics.sum(name))));
  }
  return left;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
