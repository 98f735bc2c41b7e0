// A replica in a process of its own: connects with its group, then runs as many training steps as each message asks for and answers
// with how long they took and what came out.
import { createHash } from 'node:crypto';
import { connectGroup } from '@online-cnclip/collectives';
import { float32, type NdArray } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime, createTfjsNodeRuntime } from '@online-cnclip/runtime';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { createTrainStep, type OptimizerKind, type TrainingPrecision } from '@online-cnclip/training';
import { folderStore } from './folder-store.ts';

export interface ReplicaOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** Where the replicas find each other; empty before. */
  readonly folder: string;
  readonly threads: number;
  readonly globalBatch: number;
  readonly microBatchSize?: number;
  /** Default: LAMB. */
  readonly optimizer?: OptimizerKind;
  readonly precision?: TrainingPrecision;
  /** Of TensorFlow's built package, to compute with it; default: onnxruntime. */
  readonly tfjsNodeFolder?: string;
  readonly visionModel: string;
  readonly textModel: string;
}

export interface StepsDone {
  readonly seconds: number;
  readonly losses: readonly number[];
  /** Of all parameters: replicas agree to the bit. */
  readonly digest: string;
  /** A few of each parameter's elements, to compare with another run to a tolerance. */
  readonly sample: readonly number[];
  readonly peakGb: number;
}

const TIMEOUT_MS = 120_000;
const CONTEXT_LENGTH = 24;
const SAMPLES_PER_PARAMETER = 5;
const TEXTS = [
  '红色连衣裙',
  '男士运动鞋 透气',
  '儿童积木玩具',
  '不锈钢保温杯 500ml',
  '蓝牙耳机',
  '真皮手提包',
  '机械键盘',
];

const options: ReplicaOptions = JSON.parse(process.argv[2] ?? '{}');
const { rank, worldSize, globalBatch } = options;
const collectives = await connectGroup({
  rank,
  worldSize,
  host: '127.0.0.1',
  store: folderStore(options.folder),
  timeoutMs: TIMEOUT_MS,
});
const config = resolveModelConfig(options.visionModel, options.textModel);
const step = await createTrainStep({
  config,
  parameters: initializeParameters(config, 1),
  runtime:
    options.tfjsNodeFolder === undefined
      ? createOnnxRuntime({ threads: options.threads, arena: false })
      : await createTfjsNodeRuntime({ folder: options.tfjsNodeFolder, allowCpu: true }),
  batchSize: globalBatch / worldSize,
  ...(options.microBatchSize !== undefined && { microBatchSize: options.microBatchSize }),
  ...(options.precision && { precision: options.precision }),
  contextLength: CONTEXT_LENGTH,
  loss: 'dsl',
  optimizer:
    options.optimizer === 'adamw'
      ? { kind: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }
      : { kind: 'lamb', beta1: 0.9, beta2: 0.98, eps: 1e-3, weightDecay: 0.01, maxGradientNorm: 1 },
  freezeVision: false,
  seed: 1,
  replicas: { collectives, aggregate: true, featureGradients: 'all', syncBatchNorm: false },
});
const side = config.vision.imageResolution;
const pixels = 3 * side * side;
const rows = Array.from({ length: globalBatch / worldSize }, (_, i) => i * worldSize + rank);
const images = float32([rows.length, 3, side, side], new Float32Array(rows.length * pixels));
rows.forEach((row, i) => {
  const image = images.data.subarray(i * pixels, (i + 1) * pixels);
  for (let k = 0; k < pixels; k++) image[k] = Math.sin(k * (1 + (row % 17)) * 0.37 + row);
});
const ids = loadTokenizer().encode(
  rows.map((row) => `${TEXTS[row % TEXTS.length]} ${row}`),
  CONTEXT_LENGTH,
);

process.on('message', async (count: number) => {
  const losses: number[] = [];
  const start = performance.now();
  for (let i = 0; i < count; i++) losses.push((await step.run(images, ids, 1e-3)).loss);
  const seconds = (performance.now() - start) / 1000;
  // Before the parameters are looked at: that takes memory, too.
  const peakGb = process.resourceUsage().maxRSS / 1e6;
  const { parameters } = await step.state();
  const done: StepsDone = {
    seconds,
    losses,
    digest: digestOf([...parameters.values()]),
    sample: [...parameters].flatMap(([name, array]) => sampleOf(name, array)),
    peakGb,
  };
  process.send?.(done);
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

function digestOf(arrays: readonly NdArray[]): string {
  const hash = createHash('sha256');
  for (const { data } of arrays) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex');
}

/** The true gradient of a key's bias is zero: what is computed is noise. */
function sampleOf(name: string, { data }: NdArray): number[] {
  if (name.endsWith('key.bias') || name.endsWith('in_proj_bias')) return [];
  const stride = Math.max(1, Math.floor(data.length / SAMPLES_PER_PARAMETER));
  return Array.from(data as Float32Array).filter((_, i) => i % stride === 0);
}
