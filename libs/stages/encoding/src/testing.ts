// Stand-ins for the towers' compute, for tests of this package and of the services over it.
import { float32, InvalidInputError, int32, type NdArray, throwIfAborted } from '@online-cnclip/foundation';
import type { Executable } from '@online-cnclip/runtime';
import { EncoderModel, type ModelDescription, type TextTokenizer } from './encoder-model.ts';
import { type ImageDecoder, ImageTower } from './image-tower.ts';
import { TextTower } from './text-tower.ts';
import type { TowerObservers } from './tower.ts';

export const FAKE_DIMENSION = 4;
const FAKE_RESOLUTION = 2;

/** A tower whose runs end when the test says so, or after a latency. */
export class FakeTower implements Executable {
  /** Shape of each run's input. */
  readonly runs: (readonly number[])[] = [];
  disposed = false;
  mostAtOnce = 0;
  latencyMs: number;
  failure: Error | undefined;
  #running = 0;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(latencyMs = 0) {
    this.latencyMs = latencyMs;
  }

  /** Keeps runs from ending until the returned function is called. */
  hold(): () => void {
    this.#held = Promise.withResolvers<void>();
    return () => {
      this.#held?.resolve();
      this.#held = undefined;
    };
  }

  async run(inputs: Readonly<Record<string, NdArray>>): Promise<Readonly<Record<string, NdArray>>> {
    if (this.disposed) throw new Error('run after dispose');
    const [input] = Object.values(inputs) as [NdArray<'float32' | 'int32'>];
    this.runs.push(input.shape);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#running);
    await this.#held?.promise;
    if (this.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, this.latencyMs));
    this.#running -= 1;
    if (this.failure) throw this.failure;
    return { normalized: fakeVectors(input) };
  }

  async dispose(): Promise<void> {
    if (this.#running > 0) throw new Error('disposed while running');
    this.disposed = true;
  }
}

/** The vector that {@link FakeTower} gives for one item's values: padding zeros do not change it. */
export function fakeVector(values: Iterable<number>): Float32Array {
  const vector = new Float32Array(FAKE_DIMENSION);
  let [sum, position] = [0, 0];
  for (const value of values) sum += value * ++position;
  vector.set([Math.cos(sum), Math.sin(sum)]);
  return vector;
}

/** One id per UTF-16 code unit between [CLS] and [SEP]. */
export const fakeTokenizer: TextTokenizer = {
  encodeTrimmed(texts, contextLength) {
    const rows = texts.map((text) => [
      101,
      ...Array.from(text, (c) => c.charCodeAt(0)).slice(0, contextLength - 2),
      102,
    ]);
    const length = Math.max(...rows.map((row) => row.length));
    const padded = rows.flatMap((row) => [...row, ...new Array<number>(length - row.length).fill(0)]);
    return int32([rows.length, length], Int32Array.from(padded));
  },
};

/** Takes a file's first byte as every pixel; refuses an empty file. */
export class FakeDecoder implements ImageDecoder {
  disposed = false;
  decoding = 0;
  mostAtOnce = 0;

  async decode(file: Uint8Array, signal?: AbortSignal): Promise<Float32Array> {
    throwIfAborted(signal);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.decoding);
    await new Promise((resolve) => setImmediate(resolve));
    this.decoding -= 1;
    if (file.length === 0) throw new InvalidInputError('the image is empty');
    return new Float32Array(3 * FAKE_RESOLUTION ** 2).fill(file[0] ?? 0);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }
}

export interface FakeModel {
  readonly model: EncoderModel;
  readonly textTower: FakeTower;
  readonly imageTower: FakeTower;
  readonly decoder: FakeDecoder;
}

export function createFakeModel(
  options: { latencyMs?: number; description?: Partial<ModelDescription>; observers?: TowerObservers } = {},
): FakeModel {
  const [textTower, imageTower] = [new FakeTower(options.latencyMs), new FakeTower(options.latencyMs)];
  const decoder = new FakeDecoder();
  const model = new EncoderModel({
    description: {
      checkpointPath: 'fake.pt',
      visionModel: 'fake-vision',
      textModel: 'fake-text',
      fingerprint: 'f'.repeat(64),
      embeddingDimension: FAKE_DIMENSION,
      contextLength: 24,
      vocabularySize: 65_536,
      imageResolution: FAKE_RESOLUTION,
      logitScale: 14.3,
      precision: 'fp32',
      ...options.description,
    },
    tokenizer: fakeTokenizer,
    texts: new TextTower(textTower, options.observers),
    images: new ImageTower({
      ...options.observers,
      executable: imageTower,
      decoder,
      resolution: FAKE_RESOLUTION,
      patches: 200,
    }),
  });
  return { model, textTower, imageTower, decoder };
}

function fakeVectors({ shape, data }: NdArray<'float32' | 'int32'>): NdArray<'float32'> {
  const rows = shape[0] ?? 0;
  const width = data.length / rows;
  const vectors = new Float32Array(rows * FAKE_DIMENSION);
  for (let row = 0; row < rows; row++)
    vectors.set(fakeVector(data.subarray(row * width, (row + 1) * width)), row * FAKE_DIMENSION);
  return float32([rows, FAKE_DIMENSION], vectors);
}
