import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { createRankerClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import { ListFailuresRequest } from '@online-cnclip/contracts/crawler/v1';
import { EncodeTextRequest } from '@online-cnclip/contracts/encoder/v1';
import { CreateIndexRequest, SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { ListRunsRequest } from '@online-cnclip/contracts/trainer/v1';
import { Chance } from '../chance.ts';
import { makeData, type Subject, startSubjects } from '../fuzz/subjects.ts';
import { makeFolder } from '../run-soak.ts';
import { atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { TINY_DIMENSION } from '../tiny-data.ts';
import { frameOf, RawClient } from '../traffic/raw-client.ts';

type DrainBounds = { readonly minutes: number; readonly rounds: number };

const CALLS_AT_ONCE = 16;

/** The load goes on for so long before the service is told to end. */
const MAX_RUNNING_MS = 1_000;

const MAX_EXIT_SECONDS = 30;

const ITEMS = 200;

export const soak = defineSoak<DrainBounds>({
  name: 'drain',
  description: 'every service is told to end under load, and loses no call that it accepted',
  bounds: {
    short: { minutes: 5, rounds: 1 },
    default: { minutes: 20, rounds: 20 },
    long: { minutes: 120, rounds: 200 },
  },
  run,
});

/** What became of one service in one round. */
interface Drained {
  readonly label: string;
  readonly answered: number;
  /** UNAVAILABLE, by the service or because its connection was closed to new calls. */
  readonly refused: number;
  /** Neither answered nor refused, although sent before the service was told to end. */
  readonly lost: number;
  /** Ended otherwise. */
  readonly failed: number;
  readonly exitStatus: number | null;
  readonly exitSeconds: number;
  readonly saidSoFirst: boolean;
}

async function run(context: SoakContext<DrainBounds>): Promise<{ figures: Figure[] }> {
  const { bounds, folder, children, seed, tell, timeUp } = context;
  const { dataFolder } = await makeData(folder);
  const all: Drained[] = [];
  for (let round = 0; round < bounds.rounds && !timeUp.aborted; round++) {
    const subjects = await startSubjects(children, makeFolder(folder, `round-${round}`), dataFolder);
    const drained = await Promise.all(
      subjects
        .filter(({ label }) => label !== 'encoder-without-model')
        .map((subject, number) => drainOnce(subject, new Chance(seed, round * subjects.length + number))),
    );
    for (const subject of subjects) await subject.process.kill();
    all.push(...drained);
    tell(
      `round ${round + 1}: ${drained.map(({ label, answered, refused }) => `${label} ${answered}/${refused}`).join(', ')}`,
    );
  }
  return { figures: figuresOf(all) };
}

async function drainOnce(subject: Subject, chance: Chance): Promise<Drained> {
  const { process, label } = subject;
  const request = REQUESTS[label];
  if (!request) throw new Error(`no load for ${label}`);
  // A crawler without a browser answers, and says that it does not serve.
  while (label !== 'crawler' && !(await subject.isServing())) await sleep(50);
  if (label === 'ranker') await fillIndex(process.address);
  const load = new Load(await RawClient.connect(process.address), request);
  const ended = once(process.child, 'exit');
  load.start();
  await sleep(MAX_RUNNING_MS * (0.2 + 0.8 * (chance.below(1_000) / 1_000)));
  load.beginEnd();
  const toldAt = performance.now();
  process.child.kill('SIGTERM');
  await ended;
  const exitSeconds = (performance.now() - toldAt) / 1_000;
  const counts = await load.stop();
  return { label, ...counts, exitStatus: process.child.exitCode, exitSeconds };
}

interface Request {
  readonly path: string;
  readonly frame: Buffer;
}

const request = (path: string, message: Uint8Array): Request => ({
  path: `/onlinecnclip.${path}`,
  frame: frameOf(message),
});

const vector = toVector(Float32Array.from({ length: TINY_DIMENSION }, (_, i) => Math.sin(i)));
const query = { query: { $case: 'vector' as const, value: vector } };
const texts = ['红色连衣裙', '男士运动鞋 透气', '儿童积木', '猫粮'];

/** By the label of the subject. */
const REQUESTS: Readonly<Record<string, Request>> = {
  encoder: request(
    'encoder.v1.EncoderService/EncodeText',
    EncodeTextRequest.encode(EncodeTextRequest.fromPartial({ texts })).finish(),
  ),
  ranker: request(
    'ranker.v1.RankerService/Search',
    SearchRequest.encode(
      SearchRequest.fromPartial({ index: 'drained', queries: [query], topK: 10 }),
    ).finish(),
  ),
  trainer: request(
    'trainer.v1.TrainerService/ListRuns',
    ListRunsRequest.encode(ListRunsRequest.fromPartial({})).finish(),
  ),
  crawler: request(
    'crawler.v1.CrawlerService/ListFailures',
    ListFailuresRequest.encode(ListFailuresRequest.fromPartial({})).finish(),
  ),
};

async function fillIndex(address: string): Promise<void> {
  const client = createRankerClient(address);
  try {
    const { indexes } = await client.listIndexes({});
    if (indexes.some(({ name }) => name === 'drained')) return;
    await client.createIndex(CreateIndexRequest.fromPartial({ name: 'drained', dimension: TINY_DIMENSION }));
    const items = Array.from({ length: ITEMS }, (_, id) => ({
      id: BigInt(id),
      content: { $case: 'vector' as const, value: vector },
    }));
    await client.upsertItems([UpsertItemsRequest.fromPartial({ index: 'drained', items })]);
  } finally {
    client.close();
  }
}

/** `grpc.health.v1.HealthCheckResponse` of NOT_SERVING. */
const NOT_SERVING = frameOf(Uint8Array.of(0x08, 0x02));

/** Calls of one client, the next as one ends, until its connection is closed. */
class Load {
  readonly #client: RawClient;
  readonly #request: Request;
  readonly #counts = { answered: 0, refused: 0, lost: 0, failed: 0 };
  readonly #calls: Promise<void>[] = [];
  #ending = false;
  #saidSo = false;
  #refusedUnannounced = false;

  constructor(client: RawClient, request: Request) {
    this.#client = client;
    this.#request = request;
  }

  start(): void {
    this.#client.watch('/grpc.health.v1.Health/Watch', frameOf(new Uint8Array()), (bytes) => {
      if (bytes.indexOf(NOT_SERVING) >= 0) this.#saidSo = true;
    });
    for (let call = 0; call < CALLS_AT_ONCE; call++) this.#calls.push(this.#keepCalling());
  }

  /** The service is told to end: from now on calls may be refused. */
  beginEnd(): void {
    this.#ending = true;
  }

  async stop() {
    await Promise.all(this.#calls);
    this.#client.close();
    return { ...this.#counts, saidSoFirst: this.#saidSo && !this.#refusedUnannounced };
  }

  async #keepCalling(): Promise<void> {
    while (this.#client.isOpen) {
      const sentBefore = !this.#ending;
      const { path, frame } = this.#request;
      const { code, isAnswered, isRefused } = await this.#client.call(path, frame);
      if (code === status.OK) this.#counts.answered++;
      else if (isAnswered && code === status.UNAVAILABLE && this.#ending) {
        this.#counts.refused++;
        if (!this.#saidSo) this.#refusedUnannounced = true;
      } else if (isRefused || (!isAnswered && !sentBefore)) this.#counts.refused++;
      else if (isAnswered) this.#counts.failed++;
      else this.#counts.lost++;
    }
  }
}

function figuresOf(all: readonly Drained[]): Figure[] {
  const sum = (of: (drained: Drained) => number) => all.reduce((total, drained) => total + of(drained), 0);
  return [
    { name: 'services told to end', value: all.length, unit: '' },
    { name: 'calls answered', value: sum(({ answered }) => answered), unit: '' },
    { name: 'calls refused at the end', value: sum(({ refused }) => refused), unit: '' },
    exactly(
      'accepted calls lost',
      sum(({ lost }) => lost),
      0,
    ),
    exactly(
      'calls that failed otherwise',
      sum(({ failed }) => failed),
      0,
    ),
    exactly('ended with status 0', all.filter(({ exitStatus }) => exitStatus === 0).length, all.length),
    exactly(
      'NOT_SERVING before the first refusal',
      all.filter(({ saidSoFirst }) => saidSoFirst).length,
      all.length,
    ),
    atMost(
      'longest time to the end',
      Math.max(...all.map(({ exitSeconds }) => exitSeconds)),
      MAX_EXIT_SECONDS,
      's',
    ),
  ];
}
