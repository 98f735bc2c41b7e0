import {
  AdaptationOptions,
  Loss,
  OnlineScope,
  type OnlineStepReport,
  Optimizer,
  type Run,
} from '@online-cnclip/contracts/trainer/v1';
import { DataLossError } from '@online-cnclip/foundation';
import type { GateReport } from '../report.ts';
import type { JobContext } from './context.ts';
import { lmdbOf, textsOf } from './dataset.ts';
import { roundPercent } from './ranking.ts';
import { CONTEXT_LENGTH, requireCompleted, SEED, TEXT_MODEL, timeName, VISION_MODEL } from './training.ts';
import { watchRun } from './watch-run.ts';

/** Not the prefix of the demo's own trainings: such a run is no model to start from. */
const RUN_PREFIX = 'online-';
/** A third of the offline peak: chosen on what docs/demo.md reports. */
const LEARNING_RATE = 3e-4;
const WARMUP_STEPS = 20;
const EPOCHS = 15;
/** Old pairs per new one: without any a sixth of what was known is forgotten, with one each a tenth at worst. */
const REPLAY_RATIO = 2;
/** Share of mean recall on the `valid` split that may be lost. */
const GATE_MAX_DROP = '10%';

export interface AdaptationInput {
  /** Checkpoint to start from, relative to the services' data folder. */
  readonly checkpoint: string;
  /** Images of each query in the crawler's cache. */
  readonly imagesPerQuery: number;
  /** Pairs per step, old and new. */
  readonly batchSize: number;
}

/**
 * Has the trainer adapt the model to the queries of the unseen concepts, on the images that the crawler has cached, and
 * tell the encoder to serve it if it passes the gate.
 */
export async function adaptModel(context: JobContext, input: AdaptationInput): Promise<GateReport> {
  const { clients, signal } = context;
  const options = AdaptationOptions.fromPartial({
    name: `${RUN_PREFIX}${timeName()}`,
    model: input.checkpoint,
    queries: textsOf('unseen'),
    maxEpochs: EPOCHS,
    imagesPerQuery: input.imagesPerQuery,
    batchSize: Math.max(1, Math.floor(input.batchSize / (1 + REPLAY_RATIO))),
    contextLength: CONTEXT_LENGTH,
    lr: LEARNING_RATE,
    warmup: BigInt(WARMUP_STEPS),
    optimizer: Optimizer.OPTIMIZER_ADAMW,
    loss: Loss.LOSS_CLIP,
    visionModel: VISION_MODEL,
    textModel: TEXT_MODEL,
    seed: BigInt(SEED),
    trainData: lmdbOf('train'),
    gateData: lmdbOf('valid'),
    gateMaxDrop: GATE_MAX_DROP,
    onlineCache: true,
    onlineScope: OnlineScope.ONLINE_SCOPE_ALL,
    replayRatio: REPLAY_RATIO,
    maskDuplicates: true,
    serve: true,
  });
  const { run } = await clients.trainer.startAdaptation({ options }, { signal });
  return gateOf(await watchAdaptation(context, run?.name ?? options.name));
}

async function watchAdaptation(context: JobContext, name: string): Promise<Run> {
  const task = context.progress.start('adapt', 100);
  let latest: Run | undefined;
  for await (const { event } of watchRun(context, name)) {
    if (event?.$case === 'run') latest = event.value;
    else if (event?.$case === 'onlineStep') {
      const { step, totalSteps, etaSeconds } = event.value;
      task.update(
        (100 * Number(step)) / Math.max(1, Number(totalSteps)),
        formatStep(event.value),
        etaSeconds,
      );
    }
  }
  const completed = requireCompleted(name, latest);
  const { pairs = 0n, replayed = 0n, steps = 0n } = completed.online ?? {};
  task.finish(`${steps} steps on ${pairs} new and ${replayed} old pairs`);
  return completed;
}

function gateOf({ name, gate }: Run): GateReport {
  if (!gate?.before || !gate.after) throw new DataLossError('has no gate', { place: `run ${name}` });
  return {
    before: roundPercent(gate.before.meanRecall),
    after: roundPercent(gate.after.meanRecall),
    max_drop: gate.maxDrop,
    passed: gate.passed,
  };
}

const formatStep = ({ step, totalSteps, loss }: OnlineStepReport): string =>
  `step ${step} of ${totalSteps}${loss === undefined ? '' : `, loss ${loss.toFixed(3)}`}`;
