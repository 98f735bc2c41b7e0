import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '@online-cnclip/checkpoint';
import { type Collectives, localGroup } from '@online-cnclip/collectives';
import type { NamedArrays, NdArray } from '@online-cnclip/foundation';
import {
  gradientName,
  gradientProgram,
  type ModelConfig,
  parseTextConfig,
  parseVisionConfig,
} from '@online-cnclip/network';
import type { Runtime } from '@online-cnclip/runtime';
import { createTrainStep, type LossKind, type OptimizerKind, type TrainStep } from '@online-cnclip/training';
import { type ParityResult, type ParitySuite, readJson, relativeError } from '../case.ts';

const LOSS_TOLERANCE = 1e-4;
const GRADIENT_TOLERANCE = 1e-4;
const PARAMETER_TOLERANCE = 1e-3;

interface GoldenRun {
  readonly loss: LossKind;
  readonly optimizer: OptimizerKind;
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly max_grad_norm: number | null;
  readonly ranks: number;
  readonly batch_size_per_rank: number;
  readonly freeze_vision: boolean;
  readonly vision: unknown;
  readonly text: unknown;
  readonly log: readonly { step: number; lr: number; loss: number; logit_scale: number }[];
}

interface Case {
  readonly name: string;
  readonly path: string;
  readonly run: GoldenRun;
  readonly config: ModelConfig;
  readonly initial: NamedArrays;
  readonly batches: NamedArrays;
}

export const training: ParitySuite = async function* ({ folder, runtime }) {
  const root = join(folder, 'training');
  const initial = await readSafetensors(join(root, 'initial.safetensors'));
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(root, entry.name);
    const run = readJson<GoldenRun>(path, 'run.json');
    const config = { vision: parseVisionConfig(run.vision), text: parseTextConfig(run.text) };
    const batches = await readSafetensors(join(path, 'batches.safetensors'));
    const golden = { name: `training/${entry.name}`, path, run, config, initial, batches };
    if (run.ranks > 1 && !runtime.canExchange)
      yield {
        name: `${golden.name}: gradients of step 0`,
        skipped: `${runtime.name} exchanges nothing within one program`,
      };
    else yield await firstGradients(golden, runtime);
    yield* wholeRun(golden, runtime);
  }
};

/** The true gradient of an attention's key bias is zero, so that what is computed is noise, which Adam amplifies. */
function withoutKeyBias(name: string, array: NdArray, adam: boolean): NdArray {
  if (!adam) return array;
  if (name.endsWith('attention.self.key.bias')) return { ...array, data: new Float32Array(0) };
  if (!name.endsWith('attn.in_proj_bias')) return array;
  const width = array.data.length / 3;
  const data = Float32Array.from(array.data as Float32Array);
  data.fill(0, width, 2 * width);
  return { ...array, data };
}

/** The largest error of all tensors, each scaled by its own size. */
export function worstParameterError(
  expected: NamedArrays,
  actualOf: (name: string) => NdArray | undefined,
  adam: boolean,
): number {
  let worst = 0;
  for (const [name, array] of expected) {
    const actual = actualOf(name);
    if (!actual) return Number.POSITIVE_INFINITY;
    worst = Math.max(
      worst,
      relativeError(withoutKeyBias(name, actual, adam), withoutKeyBias(name, array, adam)),
    );
  }
  return worst;
}

async function firstGradients(golden: Case, runtime: Runtime): Promise<ParityResult> {
  const { run, batches, initial } = golden;
  const [images, inputIds] = [batches.get('images.0') as NdArray, batches.get('input_ids.0') as NdArray];
  const outputs = await Promise.all(
    localGroup(run.ranks).map(async (collectives) => {
      const program = await prepareGradients(golden, runtime, collectives);
      const share = {
        images: shareOf(images, collectives.rank, run.ranks),
        input_ids: shareOf(inputIds, collectives.rank, run.ranks),
      };
      const gradients = await program.run({ ...share, ...Object.fromEntries(initial) });
      await program.dispose();
      return gradients;
    }),
  );
  const meanOf = (name: string): NdArray => {
    const arrays = outputs.map((gradients) => gradients[gradientName(name)] as NdArray<'float32'>);
    const [first = arrays[0] as NdArray<'float32'>] = arrays;
    const sum = (i: number) => arrays.reduce((total, { data }) => total + (data[i] as number), 0);
    return { ...first, data: first.data.map((_, i) => sum(i) / run.ranks) };
  };
  const expected = await readSafetensors(join(golden.path, 'gradients-step-0.safetensors'));
  const scaled = new Map([...expected].filter(([name]) => !name.endsWith('attention.self.key.bias')));
  const error = worstParameterError(scaled, meanOf, true);
  return {
    name: `${golden.name}: gradients of step 0`,
    error,
    tolerance: GRADIENT_TOLERANCE,
    unit: 'relative',
  };
}

function prepareGradients({ run, config }: Case, runtime: Runtime, collectives: Collectives) {
  const { loss, batch_size_per_rank: batchSize, freeze_vision: freezeVision } = run;
  const options = { config, batchSize, loss, freezeVision };
  if (run.ranks === 1) return runtime.prepare(gradientProgram(options));
  const { rank, worldSize } = collectives;
  const replicas = { rank, worldSize, aggregate: true, featureGradientScale: 1, syncBatchNorm: false };
  return runtime.prepare(gradientProgram({ ...options, replicas }), collectives);
}

/** The golden run as one of its replicas sees it. */
function createReplica(golden: Case, runtime: Runtime, collectives: Collectives): Promise<TrainStep> {
  const { run, config, initial, batches } = golden;
  return createTrainStep({
    config,
    parameters: initial,
    runtime,
    batchSize: run.batch_size_per_rank,
    contextLength: batches.get('input_ids.0')?.shape[1] as number,
    loss: run.loss,
    freezeVision: run.freeze_vision,
    seed: 0,
    optimizer: {
      kind: run.optimizer,
      beta1: run.betas[0],
      beta2: run.betas[1],
      eps: run.eps,
      weightDecay: run.weight_decay,
      ...(run.max_grad_norm === null ? {} : { maxGradientNorm: run.max_grad_norm }),
    },
    replicas: { collectives, aggregate: true, featureGradients: 'own', syncBatchNorm: false },
  });
}

/** A replica's share of a batch, which is rank 0's pairs, then rank 1's. */
function shareOf<A extends NdArray>(array: A, rank: number, ranks: number): A {
  const [rows = 0, ...rest] = array.shape;
  const length = array.data.length / ranks;
  const data = array.data.subarray(rank * length, (rank + 1) * length);
  return { ...array, shape: [rows / ranks, ...rest], data };
}

async function* wholeRun(golden: Case, runtime: Runtime): AsyncIterable<ParityResult> {
  const { run, batches } = golden;
  const replicas = await Promise.all(
    localGroup(run.ranks).map((collectives) => createReplica(golden, runtime, collectives)),
  );
  let [lossError, scaleError] = [0, 0];
  for (const logged of run.log) {
    const images = batches.get(`images.${logged.step}`) as NdArray<'float32'>;
    const inputIds = batches.get(`input_ids.${logged.step}`) as NdArray<'int32'>;
    const results = await Promise.all(
      replicas.map((step, rank) =>
        step.run(shareOf(images, rank, run.ranks), shareOf(inputIds, rank, run.ranks), logged.lr),
      ),
    );
    for (const result of results) {
      lossError = Math.max(lossError, Math.abs(result.loss - logged.loss) / Math.abs(logged.loss));
      const scale = Math.abs(result.logitScale - logged.logit_scale) / logged.logit_scale;
      scaleError = Math.max(scaleError, scale);
    }
  }
  const expected = await readSafetensors(join(golden.path, 'final.safetensors'));
  let error = 0;
  for (const step of replicas) {
    const { parameters } = await step.state();
    const adam = run.optimizer === 'adamw';
    error = Math.max(
      error,
      worstParameterError(expected, (name) => parameters.get(name), adam),
    );
    await step.dispose();
  }
  const steps = `${run.log.length} steps`;
  yield {
    name: `${golden.name}: loss of ${steps}`,
    error: lossError,
    tolerance: LOSS_TOLERANCE,
    unit: 'relative',
  };
  yield {
    name: `${golden.name}: logit scale of ${steps}`,
    error: scaleError,
    tolerance: LOSS_TOLERANCE,
    unit: 'relative',
  };
  yield { name: `${golden.name}: parameters`, error, tolerance: PARAMETER_TOLERANCE, unit: 'relative' };
}
