// A training step for tests: as deterministic as a real one, without a model.
import { setTimeout } from 'node:timers/promises';
import { float32, type NamedArrays, type NdArray, requireFloat32, zeros } from '@online-cnclip/foundation';
import type { Recall, RecallPort, RecallRequest } from '../ports.ts';
import type { CreateTrainStep, TrainState, TrainStep, TrainStepOptions } from '../train-step.ts';

export interface RecordedStep {
  /** A number that tells batches apart: pixels, ids and their order. */
  readonly batch: number;
  readonly learningRate: number;
  readonly images: readonly number[];
  readonly inputIds: readonly number[];
}

export interface FakeTraining {
  readonly createTrainStep: CreateTrainStep;
  /** What the steps were made with, one per run. */
  readonly created: TrainStepOptions[];
  readonly steps: RecordedStep[];
  /** Called in each step, before its result is there. */
  beforeResult: (step: number) => void | Promise<void>;
}

/** Parameter that the fake step trains: everything it has seen goes into it. */
export const TRAINED = 'text_projection';
const FEATURES = 8;

export function fakeTraining(): FakeTraining {
  const training: FakeTraining = {
    created: [],
    steps: [],
    beforeResult: () => {},
    createTrainStep: async (given) => {
      // Copies, as the real step makes them: the caller gives the starting values' memory back.
      const parameters = new Map(
        [...given.parameters].map(([name, array]) => [
          name,
          { ...array, data: array.data.slice() } as NdArray,
        ]),
      );
      const options = { ...given, parameters };
      training.created.push(options);
      return fakeStep(options, training);
    },
  };
  return training;
}

function fakeStep(options: TrainStepOptions, training: FakeTraining): TrainStep {
  const parameters = copyOf(options.parameters);
  const moments = () => new Map([[TRAINED, zeros(parameters.get(TRAINED)?.shape ?? [])]]);
  const optimizer = { step: 0, expAvg: moments(), expAvgSq: moments() };
  const trained = () => parameters.get(TRAINED)?.data as Float32Array;
  return {
    async run(images, inputIds, learningRate) {
      const batch = checksum(images.data) + checksum(inputIds.data);
      optimizer.step++;
      const average = optimizer.expAvg.get(TRAINED)?.data as Float32Array;
      average[0] = 0.5 * (average[0] as number) + batch;
      const values = trained();
      values[0] = (values[0] as number) + learningRate * (average[0] as number);
      training.steps.push({
        batch,
        learningRate,
        images: [...images.shape],
        inputIds: [...inputIds.shape],
      });
      await training.beforeResult(optimizer.step);
      return {
        loss: values[0] as number,
        logitScale: 2.5 + optimizer.step / 1000,
        imageToTextAccuracy: 0.5,
        textToImageAccuracy: 0.25,
      };
    },
    encodeImages: async (images) => features(images),
    encodeTexts: async (inputIds) => features(inputIds),
    state: async () => ({ parameters, optimizer }),
    async restore(state: TrainState) {
      copyInto(parameters, state.parameters);
      copyInto(optimizer.expAvg, state.optimizer.expAvg);
      copyInto(optimizer.expAvgSq, state.optimizer.expAvgSq);
      optimizer.step = state.optimizer.step;
    },
    dispose: async () => {},
  };
}

/** Recall that says how much it was asked. */
export function fakeRecall(delayMs = 0): RecallPort & { readonly requests: RecallRequest[] } {
  const requests: RecallRequest[] = [];
  return {
    requests,
    async recall(request): Promise<Recall> {
      requests.push(request);
      await setTimeout(delayMs);
      const counts = { queries: request.relevantIds.length, gallery: request.galleryIds.length };
      return { recallAt1: 10, recallAt5: 50, recallAt10: 90, meanRecall: 50, ...counts };
    },
  };
}

const copyOf = (arrays: NamedArrays): Map<string, NdArray> =>
  new Map([...arrays].map(([name, array]) => [name, { ...array, data: array.data.slice() } as NdArray]));

function copyInto(target: NamedArrays, source: NamedArrays): void {
  for (const [name, { data }] of source) requireFloat32(target, name).data.set(data as Float32Array);
}

/** Depends on each value and its place. */
function checksum(data: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum = (sum * 31 + (data[i] as number) * ((i % 97) + 1)) % 1_000_003;
  return sum / 1_000_003;
}

/** Unit rows made of what is encoded, so that the same input has the same features. */
function features({ data, shape }: NdArray): NdArray<'float32'> {
  const rows = shape[0] as number;
  const width = data.length / rows;
  const result = new Float32Array(rows * FEATURES);
  for (let row = 0; row < rows; row++) {
    const values = Array.from({ length: FEATURES }, (_, k) =>
      checksum(
        Array.from({ length: Math.ceil(width / FEATURES) }, (_, i) =>
          Number(data[row * width + i * FEATURES + k] ?? 0),
        ),
      ),
    );
    const norm = Math.hypot(...values) || 1;
    values.forEach((value, k) => {
      result[row * FEATURES + k] = value / norm;
    });
  }
  return float32([rows, FEATURES], result);
}
