import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { Chance } from '../chance.ts';
import { residentMegabytes } from '../process-state.ts';
import { atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { callWith, type Ending } from './call.ts';
import { makeMessage } from './messages.ts';
import { type Method, ourMethods } from './methods.ts';
import { makeNoise } from './port-noise.ts';
import { makeData, type Subject, startSubjects } from './subjects.ts';
import type { Known } from './values.ts';
import { faultOf } from './verdict.ts';

type FuzzBounds = { readonly minutes: number; readonly messages: number; readonly connections: number };

/** Calls at once. */
const IN_FLIGHT = 12;

/** No call takes so long, whatever else the machine does. */
const CALL_LIMITS = { timeoutMs: 120_000, listenMs: 100, maxResponses: 3 } as const;

/** So long noise waits for an answer. */
const NOISE_MS = 50;

/** What they start takes long: less of them. */
const SLOW = new Map([
  ['LoadModel', 0.05],
  ['BuildDataset', 0.2],
  ['OpenSession', 0.3],
]);

/** Ends a crawler's work for good. */
const LAST = new Set(['Drain']);

/** Of the memory before the first messages warm everything up, nothing is said. */
const WARM_UP_SHARE = 0.3;

const MAX_GROWTH_MB = 64;

const SHOWN_FAULTS = 20;

export const soak = defineSoak<FuzzBounds>({
  name: 'fuzz',
  description: 'every rpc of every service with mutated messages, and noise on the ports',
  bounds: {
    short: { minutes: 5, messages: 1_500, connections: 60 },
    default: { minutes: 30, messages: 20_000, connections: 1_000 },
    long: { minutes: 600, messages: 1_000_000, connections: 20_000 },
  },
  run: (context) => new Fuzzing(context).run(),
});

class Fuzzing {
  readonly #context: SoakContext<FuzzBounds>;
  readonly #methods: readonly Method[] = ourMethods();
  readonly #codes = new Map<string, number>();
  readonly #called = new Set<string>();
  #sent = 0;
  #faults = 0;
  #hangs = 0;

  constructor(context: SoakContext<FuzzBounds>) {
    this.#context = context;
  }

  async run(): Promise<{ figures: Figure[] }> {
    const { bounds, folder, children, seed } = this.#context;
    const { dataFolder, known } = await makeData(folder);
    const subjects = await startSubjects(children, folder, dataFolder);
    for (const subject of subjects)
      if (subject.label !== 'encoder-without-model') await untilServing(subject);
    const warmUp = Math.round(bounds.messages * WARM_UP_SHARE);
    await this.#fuzz(subjects, known, 0, warmUp);
    const before = memoryOf(subjects);
    await Promise.all([
      this.#fuzz(subjects, known, warmUp, bounds.messages - warmUp),
      this.#makeNoise(subjects, seed),
    ]);
    const grown = memoryOf(subjects).map((after, i) => after - (before[i] ?? 0));
    await this.#last(subjects, known);
    const ended = subjects.filter((subject) => subject.end() !== undefined);
    for (const subject of ended) this.#fault(subject.label, `ended with ${subject.end()}`);
    const answering = await Promise.all(subjects.map((subject) => this.#answersWell(subject)));
    const expected = this.#expectedMethods(subjects);
    return {
      figures: [
        { name: 'messages sent', value: this.#sent, unit: '' },
        exactly('methods called', this.#called.size, expected),
        exactly('faults', this.#faults, 0),
        exactly('calls that hang', this.#hangs, 0),
        exactly('services that ended', ended.length, 0),
        exactly('services that answer afterwards', answering.filter(Boolean).length, subjects.length),
        ...[...this.#codes].sort().map(([name, value]) => ({ name: `ended ${name}`, value, unit: '' })),
        ...subjects.map(({ label }, i) => growthFigure(label, grown[i] ?? 0, bounds)),
      ],
    };
  }

  #expectedMethods(subjects: readonly Subject[]): number {
    const services = new Set(subjects.flatMap((subject) => subject.services));
    return this.#methods.filter(({ service }) => services.has(service)).length;
  }

  /** Cases `from` to `from + count`, some at once. */
  async #fuzz(subjects: readonly Subject[], known: Known, from: number, count: number): Promise<void> {
    const { timeUp, signal } = this.#context;
    let next = from;
    const work = async (): Promise<void> => {
      while (next < from + count && !timeUp.aborted && !signal.aborted) {
        const chance = new Chance(this.#context.seed, next++);
        const subject = chance.one(subjects);
        await this.#try(subject, this.#chooseMethod(subject, chance), chance, known);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  }

  #chooseMethod({ services, without }: Subject, chance: Chance): Method {
    const methods = this.#methods.filter(
      ({ service, name }) => services.includes(service) && !without.includes(name) && !LAST.has(name),
    );
    for (;;) {
      const method = chance.one(methods);
      // All of them at least once, also in the shortest run.
      const share = this.#called.has(method.path) ? (SLOW.get(method.name) ?? 1) : 1;
      if (chance.happens(share)) return method;
    }
  }

  async #try(subject: Subject, method: Method, chance: Chance, known: Known): Promise<void> {
    if (subject.end() !== undefined) return;
    this.#called.add(method.path);
    const count = method.requestStream ? chance.one([0, 1, 1, 2, 4]) : 1;
    const messages = Array.from({ length: count }, () => makeMessage(method.input, chance, known));
    this.#sent += Math.max(1, count);
    const ending = await callWith(subject.client, method, messages, CALL_LIMITS);
    const code = ending.left ? 'by us' : status[ending.code];
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
    this.#judge(subject, method, messages, ending);
  }

  #judge(subject: Subject, method: Method, messages: readonly Buffer[], ending: Ending): void {
    const fault = faultOf(method, ending);
    if (fault === undefined) return;
    if (ending.code === status.DEADLINE_EXCEEDED) this.#hangs += 1;
    const bytes = messages.map((message) => message.toString('base64'));
    const line = { service: subject.label, method: method.path, fault, messages: bytes };
    appendFileSync(join(this.#context.folder, 'faults.jsonl'), `${JSON.stringify(line)}\n`);
    const shown = bytes.join(' ').slice(0, 400);
    this.#fault(`${subject.label} ${method.name}`, `${fault} [${shown}]`);
  }

  #fault(place: string, fault: string): void {
    this.#faults += 1;
    if (this.#faults <= SHOWN_FAULTS) this.#context.tell(`${place}: ${fault}`);
  }

  async #makeNoise(subjects: readonly Subject[], seed: number): Promise<void> {
    const { bounds, timeUp, signal } = this.#context;
    const open = [];
    for (let i = 0; i < bounds.connections && !timeUp.aborted && !signal.aborted; i += 1) {
      const chance = new Chance(seed ^ 0x5f5f5f5f, i);
      open.push(await makeNoise(chance.one(subjects).process.address, chance, NOISE_MS));
    }
    for (const socket of open) socket.destroy();
  }

  /** What ends a service's work comes at the end. */
  async #last(subjects: readonly Subject[], known: Known): Promise<void> {
    for (const method of this.#methods.filter(({ name }) => LAST.has(name)))
      for (const subject of subjects.filter(({ services }) => services.includes(method.service)))
        await this.#try(subject, method, new Chance(this.#context.seed, -1), known);
  }

  /** Health as at the beginning, and a call that is right. */
  async #answersWell(subject: Subject): Promise<boolean> {
    if (subject.end() !== undefined) return false;
    const [service] = subject.services;
    const name = GOOD_CALLS.get(service ?? '');
    const method = this.#methods.find((each) => each.service === service && each.name === name);
    if (!method) throw new Error(`no good call of ${service}`);
    const { code } = await callWith(subject.client, method, [Buffer.alloc(0)], CALL_LIMITS);
    const wanted = subject.label === 'encoder-without-model' ? status.FAILED_PRECONDITION : status.OK;
    if (code !== wanted) this.#fault(subject.label, `${name} afterwards: ${status[code]}`);
    return code === wanted;
  }
}

/** By service, with an empty message. */
const GOOD_CALLS = new Map([
  ['EncoderService', 'GetModel'],
  ['RankerService', 'ListIndexes'],
  ['TrainerService', 'ListRuns'],
  ['CrawlerService', 'ListSessions'],
]);

async function untilServing(subject: Subject): Promise<void> {
  // A crawler without a browser answers, and says that it does not serve.
  if (subject.label === 'crawler') return;
  while (!(await subject.isServing())) {
    if (subject.end() !== undefined) throw new Error(`${subject.label} ended with ${subject.end()}`);
    await sleep(50);
  }
}

const memoryOf = (subjects: readonly Subject[]): number[] =>
  subjects.map((subject) => (subject.end() === undefined ? residentMegabytes(subject.process.pid) : 0));

/** A few hundred messages do not warm a service up: the short form only tells. */
function growthFigure(label: string, value: number, { messages }: FuzzBounds): Figure {
  const name = `memory that ${label} grew by after the warm-up`;
  return messages >= 10_000 ? atMost(name, value, MAX_GROWTH_MB, 'MB') : { name, value, unit: 'MB' };
}
