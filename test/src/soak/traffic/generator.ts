// A process that makes the load of a plan (a file) and prints one line per phase: so it neither shares the service's event loop
// nor that of the soak.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { fromVector } from '@online-cnclip/contracts';
import { EncodeTextResponse } from '@online-cnclip/contracts/encoder/v1';
import { seededRandom } from '../random.ts';
import { latenciesOf } from './percentiles.ts';
import type { Phase, PhaseResult, PlannedRequest, TrafficPlan } from './plan.ts';
import { frameOf, type RawAnswer, RawClient } from './raw-client.ts';

/** Batches of other neighbours are computed in another order. */
const TOLERANCE = 1e-4;

interface Request {
  readonly path: string;
  readonly frame: Buffer;
  readonly expected: readonly Float32Array[];
}

class PhaseRun {
  readonly #client: RawClient;
  readonly #timeoutMs: number | undefined;
  readonly #startedAt = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #codes: Record<string, number> = {};
  readonly #answered: number[] = [];
  readonly #refused: number[] = [];
  readonly #lag: number[] = [];
  #sent = 0;
  #wrong = 0;
  #lastFailureMs = 0;
  #complaint: string | undefined;

  constructor(client: RawClient, timeoutMs: number | undefined) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  async call(request: Request, dueMs = this.elapsedMs): Promise<void> {
    const sentMs = this.elapsedMs;
    this.#sent++;
    this.#lag.push(sentMs - dueMs);
    const answer = await this.#client.call(request.path, request.frame, this.#timeoutMs);
    const code = status[answer.code] ?? String(answer.code);
    this.#codes[code] = (this.#codes[code] ?? 0) + 1;
    if (answer.code === status.OK) {
      this.#answered.push(this.elapsedMs - dueMs);
      this.#judge(request, answer);
      return;
    }
    this.#lastFailureMs = Math.max(this.#lastFailureMs, dueMs);
    if (answer.code === status.RESOURCE_EXHAUSTED) this.#refused.push(this.elapsedMs - sentMs);
    else if (answer.code !== status.DEADLINE_EXCEEDED) this.#complaint ??= `${code}: ${answer.details}`;
  }

  get cpuSeconds(): number {
    const { user, system } = process.cpuUsage(this.#cpu);
    return (user + system) / 1e6;
  }

  result(seconds: number, cpuSeconds: number): PhaseResult {
    return {
      seconds,
      sent: this.#sent,
      right: this.#answered.length - this.#wrong,
      wrong: this.#wrong,
      codes: this.#codes,
      answered: latenciesOf(this.#answered),
      refused: latenciesOf(this.#refused),
      lag: latenciesOf(this.#lag),
      lastFailureMs: this.#lastFailureMs,
      cpuSeconds,
      ...(this.#complaint !== undefined && { complaint: this.#complaint }),
    };
  }

  #judge({ expected }: Request, { message }: RawAnswer): void {
    if (expected.length === 0) return;
    const { embeddings } = EncodeTextResponse.decode(message);
    const right =
      embeddings.length === expected.length &&
      expected.every((vector, position) => {
        const answer = embeddings[position]?.vector;
        if (!answer) return false;
        const numbers = fromVector(answer, 'answer', vector.length);
        return vector.every((value, i) => Math.abs(value - (numbers[i] ?? Number.NaN)) <= TOLERANCE);
      });
    if (right) return;
    this.#wrong++;
    this.#complaint ??= 'an answer that is not that of the model in process';
  }
}

/** Sends a phase's calls. @returns when the last is sent: its result, once all have ended. */
async function sendPhase(
  run: PhaseRun,
  phase: Phase,
  requests: readonly Request[],
  random: () => number,
): Promise<{ readonly result: Promise<PhaseResult> }> {
  const choose = () => requests[Math.floor(random() * requests.length)] as Request;
  const endMs = phase.seconds * 1_000;
  const open = new Set<Promise<void>>();
  if ('callsAtOnce' in phase) {
    const keepCalling = async () => {
      while (run.elapsedMs < endMs) await run.call(choose());
    };
    await Promise.all(Array.from({ length: phase.callsAtOnce }, keepCalling));
  } else
    for (let dueMs = 0; dueMs < endMs; await sleep(Math.max(0, Math.min(dueMs, endMs) - run.elapsedMs)))
      for (; dueMs <= run.elapsedMs && dueMs < endMs; dueMs += nextGapMs(phase.callsPerSecond, random)) {
        const call: Promise<void> = run.call(choose(), dueMs).finally(() => open.delete(call));
        open.add(call);
      }
  const [seconds, cpuSeconds] = [run.elapsedMs / 1_000, run.cpuSeconds];
  return { result: Promise.all(open).then(() => run.result(seconds, cpuSeconds)) };
}

/** Of a Poisson process. */
const nextGapMs = (callsPerSecond: number, random: () => number): number =>
  (-Math.log(1 - random()) * 1_000) / callsPerSecond;

const plan: TrafficPlan = JSON.parse(readFileSync(process.argv[2] as string, 'utf8'));
const planned: PlannedRequest[] = JSON.parse(readFileSync(plan.requestsPath, 'utf8'));
const requests = planned.map(({ path, message, expected }) => ({
  path,
  frame: frameOf(Buffer.from(message, 'base64')),
  expected: expected.map((vector) => new Float32Array(new Uint8Array(Buffer.from(vector, 'base64')).buffer)),
}));
const random = seededRandom(plan.seed);
const client = await RawClient.connect(plan.address);
const results: Promise<PhaseResult>[] = [];
for (const phase of plan.phases) {
  const { result } = await sendPhase(new PhaseRun(client, plan.timeoutMs), phase, requests, random);
  results.push(result);
}
for (const result of results) console.log(JSON.stringify(await result));
client.close();
