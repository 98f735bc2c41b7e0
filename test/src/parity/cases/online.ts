import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint, readSafetensors } from '@online-cnclip/checkpoint';
import { recallFromFeatures } from '@online-cnclip/evaluation';
import { float32, type NdArray } from '@online-cnclip/foundation';
import { parseTextConfig, parseVisionConfig } from '@online-cnclip/network';
import { type AdaptEvent, adapt, createTrainStep, parseAdaptOptions } from '@online-cnclip/training';
import { type ParityContext, type ParityResult, type ParitySuite, readJson, relativeError } from '../case.ts';
import { worstParameterError } from './training.ts';

const LOSS_TOLERANCE = 1e-4;
const PARAMETER_TOLERANCE = 1e-3;
/** As of the model cases, widened by what the parameters may differ. */
const FEATURE_TOLERANCE = 1e-4;

interface GoldenOnline {
  readonly max_epochs: number;
  readonly batch_size: number;
  readonly images_per_query: number;
  readonly context_length: number;
  readonly lr: number;
  readonly warmup: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly vision: unknown;
  readonly text: unknown;
  readonly log: readonly { step: number; lr: number; loss: number; logit_scale: number }[];
}

/** Test-time online learning with the research code's cache folder, end to end: from a checkpoint to a checkpoint. */
export const online: ParitySuite = async function* (context) {
  const output = await mkdtemp(join(tmpdir(), 'parity-online-'));
  try {
    yield* compare(context, output);
  } finally {
    await rm(output, { recursive: true, force: true });
  }
};

async function* compare(context: ParityContext, output: string): AsyncIterable<ParityResult> {
  const root = join(context.folder, 'online');
  const run = readJson<GoldenOnline>(root, 'run.json');
  const { events: losses, checkpoint } = await adaptGolden(context, run, root, output);
  const steps = `${run.log.length} steps`;
  const worst = (errorOf: (logged: GoldenOnline['log'][number], i: number) => number): number =>
    losses.length === run.log.length ? Math.max(...run.log.map(errorOf)) : Number.POSITIVE_INFINITY;
  yield {
    name: `online: loss of ${steps}`,
    error: worst(({ loss }, i) => Math.abs((losses[i]?.loss ?? Number.NaN) - loss) / loss),
    tolerance: LOSS_TOLERANCE,
    unit: 'relative',
  };
  yield {
    name: `online: logit scale of ${steps}`,
    error: worst(
      ({ logit_scale: scale }, i) => Math.abs((losses[i]?.logitScale ?? Number.NaN) - scale) / scale,
    ),
    tolerance: LOSS_TOLERANCE,
    unit: 'relative',
  };
  const { parameters } = await readCheckpoint(checkpoint);
  yield {
    name: 'online: parameters',
    error: worstParameterError(
      await readSafetensors(join(root, 'final.safetensors')),
      (name) => parameters.get(name),
      false,
    ),
    tolerance: PARAMETER_TOLERANCE,
    unit: 'relative',
  };
  const expected = (await readSafetensors(join(root, 'features.safetensors'))).get(
    'text_features',
  ) as NdArray;
  yield {
    name: 'online: text features of the last epoch',
    error: relativeError(await readFeatures(join(output, 'features.jsonl'), expected.shape), expected),
    tolerance: FEATURE_TOLERANCE,
    unit: 'relative',
  };
}

async function adaptGolden(
  { folder, runtime }: ParityContext,
  run: GoldenOnline,
  root: string,
  output: string,
) {
  const options = parseAdaptOptions({
    model: join(folder, 'model/vit/checkpoint.pt'),
    queries: join(root, 'test_texts.jsonl'),
    onlineCache: true,
    cacheFolder: join(root, 'cache'),
    output,
    textFeatures: join(output, 'features.jsonl'),
    maxEpochs: run.max_epochs,
    batchSize: run.batch_size,
    imagesPerQuery: run.images_per_query,
    contextLength: run.context_length,
    lr: run.lr,
    warmup: run.warmup,
    beta1: run.betas[0],
    beta2: run.betas[1],
    eps: run.eps,
    wd: run.weight_decay,
    numWorkers: 0,
  });
  const events: AdaptEvent[] = [];
  const ports = {
    runtime,
    createTrainStep,
    recall: { recall: recallFromFeatures },
    crawledImages: () => {
      throw new Error('nothing is crawled');
    },
    modelConfig: { vision: parseVisionConfig(run.vision), text: parseTextConfig(run.text) },
  };
  const { checkpoint = '' } = await adapt(options, ports, { onEvent: (event) => events.push(event) });
  return { events: events.filter((event) => event.kind === 'online-step'), checkpoint };
}

async function readFeatures(path: string, shape: readonly number[]): Promise<NdArray<'float32'>> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter(Boolean);
  const rows = lines.map((line): number[] => JSON.parse(line).feature);
  return float32(shape, Float32Array.from(rows.flat()));
}
