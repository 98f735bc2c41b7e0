import { createHealthClient } from '@online-cnclip/client';
import { atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { loadTinyModel, planImages, planTexts, startTinyEncoder } from '../traffic/encoder-requests.ts';
import type { PhaseResult } from '../traffic/plan.ts';
import { runTraffic, writeRequests } from '../traffic/run-traffic.ts';
import { untilServing } from '../traffic/until-serving.ts';
import { measureShell } from './shell-capacity.ts';

type LoadBounds = {
  readonly minutes: number;
  readonly capacitySeconds: number;
  readonly loadSeconds: number;
  readonly mostCallsPerSecond: number;
  readonly shellRounds: number;
  readonly shellSeconds: number;
};

/** Of the capacity that was measured just before. */
const LOAD = 0.8;

/** Enough that the encoder always has a batch to compute. */
const CALLS_AT_ONCE = 32;

const DISTINCT_REQUESTS = 200;
const TEXTS_PER_CALL = [1, 1, 1, 2, 4, 8];

const MAX_TAIL = 5;

/** Shorter than this a measurement says nothing: figures without targets. */
const MIN_MEASURED_SECONDS = 30;

/** In the short form so few that all of them fit into the queue, should the machine do nothing else for as long. */
const FEW = { mostCallsPerSecond: 250 };
const ALL = { mostCallsPerSecond: 100_000 };

export const soak = defineSoak<LoadBounds>({
  name: 'load',
  description:
    'the encoder at 80 % of its capacity, every answer compared; what the service around a model bears',
  bounds: {
    short: { minutes: 5, capacitySeconds: 1, loadSeconds: 3, ...FEW, shellRounds: 1, shellSeconds: 1 },
    default: { minutes: 10, capacitySeconds: 15, loadSeconds: 300, ...ALL, shellRounds: 5, shellSeconds: 5 },
    long: { minutes: 40, capacitySeconds: 30, loadSeconds: 1_800, ...ALL, shellRounds: 9, shellSeconds: 10 },
  },
  run,
});

async function run(context: SoakContext<LoadBounds>): Promise<{ figures: Figure[] }> {
  const { bounds, folder, children, seed, tell } = context;
  const judged = bounds.loadSeconds >= MIN_MEASURED_SECONDS;
  const shell = await measureShell(context, {
    rounds: bounds.shellRounds,
    seconds: bounds.shellSeconds,
    seed,
  });
  const encoder = await startTinyEncoder(children, folder);
  const model = await loadTinyModel(folder);
  const requests = [
    ...(await planTexts(model, seed, DISTINCT_REQUESTS, TEXTS_PER_CALL)),
    ...(await planImages(model)),
  ];
  await model.dispose();
  const requestsPath = writeRequests(folder, requests);
  await untilServing(createHealthClient(encoder.address), encoder);
  const { address } = encoder;
  const closed = { seconds: bounds.capacitySeconds, callsAtOnce: CALLS_AT_ONCE };
  // The first phase warms up.
  const [, capacity] = await runTraffic(context, { address, seed, phases: [closed, closed], requestsPath });
  const callsPerSecond = (capacity?.right ?? 0) / (capacity?.seconds ?? 1);
  tell(`capacity ${callsPerSecond.toFixed(0)} calls/s`);
  const seconds = Math.min(bounds.loadSeconds, context.minutes * 60);
  const phases = [{ seconds, callsPerSecond: Math.min(LOAD * callsPerSecond, bounds.mostCallsPerSecond) }];
  const [load] = (await runTraffic(context, { address, seed: seed + 1, phases, requestsPath })) as [
    PhaseResult,
  ];
  return {
    figures: [
      ...shell.map((figure) => (judged ? figure : withoutTarget(figure))),
      { name: 'capacity', value: callsPerSecond, unit: 'calls/s' },
      { name: 'calls at 80 % of it', value: load.sent, unit: '' },
      exactly('right answers', load.right, load.sent),
      exactly('wrong answers', load.wrong, 0),
      exactly('errors', load.sent - load.right - load.wrong, 0),
      ...latencyFigures(load, judged),
      { name: 'CPU of the generator', value: load.cpuSeconds / load.seconds, unit: 'cores' },
    ],
  };
}

function latencyFigures({ answered, lag }: PhaseResult, judged: boolean): Figure[] {
  const tail = atMost('p99 / p50', answered.p99 / answered.p50, MAX_TAIL);
  return [
    { name: 'p50', value: answered.p50, unit: 'ms' },
    { name: 'p99', value: answered.p99, unit: 'ms' },
    { name: 'p99 of the generator being late', value: lag.p99, unit: 'ms' },
    judged ? tail : withoutTarget(tail),
  ];
}

const withoutTarget = ({ name, value, unit }: Figure): Figure => ({ name, value, unit });
