import { createHealthClient } from '@online-cnclip/client';
import { processorSeconds, residentMegabytes } from '../process-state.ts';
import { atLeast, atMost, defineSoak, exactly, type Figure, type SoakContext } from '../soak.ts';
import { loadTinyModel, planTexts, startTinyEncoder } from '../traffic/encoder-requests.ts';
import { medianOf } from '../traffic/percentiles.ts';
import type { PhaseResult } from '../traffic/plan.ts';
import { runTraffic, type TrafficContext, writeRequests } from '../traffic/run-traffic.ts';
import { untilServing } from '../traffic/until-serving.ts';

type OverloadBounds = {
  readonly minutes: number;
  readonly rounds: number;
  readonly capacitySeconds: number;
  readonly floodSeconds: number;
  readonly recoverySeconds: number;
};

/** Arrivals, in capacities. */
const FLOOD = 5;
const AFTERWARDS = 0.5;

/** Enough that the encoder always has a batch to compute. */
const CALLS_AT_ONCE = 8;

/** Whoever asks waits no longer. */
const TIMEOUT_MS = 1_000;

const DISTINCT_REQUESTS = 100;
/**
 * A catalogue's texts come by the hundred. With the few of a search the small model answers so fast that generator and refusals
 * take its cores: docs/flow-control.md has both figures.
 */
const TEXTS_PER_CALL = [192, 256, 320];

/** As in a small container: a heap with much room is only collected late, and what grows is not what is kept. */
const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=256 --max-semi-space-size=8' };

const SAMPLE_MS = 100;

/** Shorter than this a measurement says nothing: figures without targets. */
const MIN_MEASURED_SECONDS = 20;

const MIN_GOODPUT = 0.9;
const MAX_REFUSAL_MS = 50;
const MAX_GROWTH_PERCENT = 10;
const MAX_RECOVERY_MS = 2_000;

export const soak = defineSoak<OverloadBounds>({
  name: 'overload',
  description: 'the encoder at five times its capacity: what it still does, how it refuses, how it recovers',
  bounds: {
    short: { minutes: 5, rounds: 1, capacitySeconds: 1, floodSeconds: 2, recoverySeconds: 3 },
    default: { minutes: 10, rounds: 6, capacitySeconds: 6, floodSeconds: 20, recoverySeconds: 4 },
    long: { minutes: 40, rounds: 30, capacitySeconds: 6, floodSeconds: 20, recoverySeconds: 4 },
  },
  run,
});

interface Capacity {
  readonly callsPerSecond: number;
  /** Of the service's own time: what other processes of the machine do has no part in it. */
  readonly callsPerCpuSecond: number;
}

interface Round {
  readonly capacity: number;
  /** Right answers a CPU second of flood and recovery, beside those of capacity. */
  readonly efficiency: number;
  readonly flood: PhaseResult;
  readonly recovery: PhaseResult;
}

async function run(context: SoakContext<OverloadBounds>): Promise<{ figures: Figure[] }> {
  const { bounds, folder, children, seed, timeUp } = context;
  const encoder = await startTinyEncoder(children, folder, SMALL_HEAP);
  const model = await loadTinyModel(folder);
  const requestsPath = writeRequests(folder, await planTexts(model, seed, DISTINCT_REQUESTS, TEXTS_PER_CALL));
  await model.dispose();
  await untilServing(createHealthClient(encoder.address), encoder);
  const load = { address: encoder.address, pid: encoder.pid, requestsPath };
  await measureCapacity(context, load, bounds.capacitySeconds);
  const memory = watchMemory(encoder.pid);
  let before = await measureCapacity(context, load, bounds.capacitySeconds);
  const usual = memory.peak();
  const rounds: Round[] = [];
  for (let round = 0; round < bounds.rounds && !timeUp.aborted; round++) {
    const cpu = processorSeconds(load.pid);
    const [flood, recovery] = await floodOnce(context, load, before.callsPerSecond, seed + round);
    const flooded = (flood.right + recovery.right) / (processorSeconds(load.pid) - cpu);
    const after = await measureCapacity(context, load, bounds.capacitySeconds);
    // The machine may do more or less than a minute ago.
    rounds.push({
      capacity: (before.callsPerSecond + after.callsPerSecond) / 2,
      efficiency: (2 * flooded) / (before.callsPerCpuSecond + after.callsPerCpuSecond),
      flood,
      recovery,
    });
    before = after;
  }
  const grown = (memory.stop() / usual - 1) * 100;
  const figures = figuresOf(rounds, usual, grown);
  return { figures: bounds.floodSeconds >= MIN_MEASURED_SECONDS ? figures : figures.map(untimed) };
}

interface Load {
  readonly address: string;
  readonly pid: number;
  readonly requestsPath: string;
}

/** @returns right answers a second, with as many calls at once as keep the encoder busy. */
async function measureCapacity(context: TrafficContext, load: Load, seconds: number): Promise<Capacity> {
  const phases = [{ seconds, callsAtOnce: CALLS_AT_ONCE }];
  const { address, requestsPath, pid } = load;
  const cpu = processorSeconds(pid);
  const [result] = await runTraffic(context, { address, requestsPath, seed: 1, phases });
  if (!result?.right) throw new Error('the encoder answers nothing');
  const cpuSeconds = processorSeconds(pid) - cpu;
  return { callsPerSecond: result.right / result.seconds, callsPerCpuSecond: result.right / cpuSeconds };
}

async function floodOnce(
  context: SoakContext<OverloadBounds>,
  load: Load,
  capacity: number,
  seed: number,
): Promise<[PhaseResult, PhaseResult]> {
  const { floodSeconds, recoverySeconds } = context.bounds;
  const phases = [
    { seconds: floodSeconds, callsPerSecond: FLOOD * capacity },
    { seconds: recoverySeconds, callsPerSecond: AFTERWARDS * capacity },
  ];
  const { address, requestsPath } = load;
  const plan = { address, requestsPath, seed, timeoutMs: TIMEOUT_MS, phases };
  const results = await runTraffic(context, plan);
  const [flood, recovery] = results as [PhaseResult, PhaseResult];
  context.tell(
    `capacity ${capacity.toFixed(0)} calls/s, flood ${JSON.stringify(flood.codes)}, after it ${JSON.stringify(recovery.codes)}`,
  );
  return [flood, recovery];
}

function figuresOf(rounds: readonly Round[], usualMegabytes: number, grownPercent: number): Figure[] {
  const floods = rounds.map(({ flood }) => flood);
  const count = (code: string) => floods.reduce((sum, { codes }) => sum + (codes[code] ?? 0), 0);
  const sent = floods.reduce((sum, flood) => sum + flood.sent, 0);
  const [right, refused, late] = [count('OK'), count('RESOURCE_EXHAUSTED'), count('DEADLINE_EXCEEDED')];
  const worst = (of: (round: Round) => number) => Math.max(...rounds.map(of));
  const median = (of: (round: Round) => number) => medianOf(rounds.map(of));
  return [
    { name: 'capacity', value: median(({ capacity }) => capacity), unit: 'calls/s' },
    { name: 'calls at five times it', value: sent, unit: '' },
    atLeast('goodput', median(goodputOf), MIN_GOODPUT, 'of capacity'),
    {
      name: 'answers a CPU second of the encoder',
      value: median(({ efficiency }) => efficiency),
      unit: 'of those at capacity',
    },
    exactly(
      'wrong answers',
      rounds.reduce((sum, { flood, recovery }) => sum + flood.wrong + recovery.wrong, 0),
      0,
    ),
    exactly('ends other than answered, refused or late', sent - right - refused - late, 0),
    { name: 'late', value: (100 * late) / sent, unit: '%' },
    { name: 'refused', value: (100 * refused) / sent, unit: '%' },
    atMost(
      'p99 of a refusal',
      worst(({ flood }) => flood.refused.p99),
      MAX_REFUSAL_MS,
      'ms',
    ),
    { name: 'p50 of an answer', value: median(({ flood }) => flood.answered.p50), unit: 'ms' },
    { name: 'p99 of the generator being late', value: worst(({ flood }) => flood.lag.p99), unit: 'ms' },
    {
      name: 'CPU of the generator',
      value: median(({ flood }) => flood.cpuSeconds / flood.seconds),
      unit: 'cores',
    },
    { name: 'memory at capacity', value: usualMegabytes, unit: 'MB' },
    atMost('memory that the flood adds', grownPercent, MAX_GROWTH_PERCENT, '%'),
    atMost(
      'last failure after the flood',
      worst(({ recovery }) => recovery.lastFailureMs),
      MAX_RECOVERY_MS,
      'ms',
    ),
  ];
}

const goodputOf = ({ capacity, flood }: Round): number => flood.right / flood.seconds / capacity;

/** What a busy machine has a part in only informs; counts stay. */
function untimed(figure: Figure): Figure {
  const { name, value, unit } = figure;
  return unit === '' ? figure : { name, value, unit };
}

/** The largest resident memory since the beginning. */
function watchMemory(pid: number): { readonly peak: () => number; readonly stop: () => number } {
  let peak = residentMegabytes(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMegabytes(pid));
  }, SAMPLE_MS);
  return {
    peak: () => peak,
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}
