import { availableParallelism } from 'node:os';
import {
  ApplicationError,
  abortError,
  FailedPreconditionError,
  InvalidInputError,
  throwIfAborted,
} from '@online-cnclip/foundation';
import { Piscina } from 'piscina';
import type { DecodeLimits } from './limits.ts';
import { type Augmentation, requireResolution } from './preprocess.ts';
import { Slots } from './slots.ts';
import type { WorkerResult, WorkerTask } from './worker.ts';

export interface PreprocessorOptions {
  readonly resolution: number;
  /** 'none' by default. */
  readonly augmentation?: Augmentation | undefined;
  readonly limits?: Partial<DecodeLimits> | undefined;
  /**
   * Worker threads; one per core by default. Decoding itself runs on libuv's pool: with more than four, set
   * UV_THREADPOOL_SIZE to as many before the process starts.
   */
  readonly threads?: number | undefined;
  /** Images that may wait for a thread; {@link DEFAULT_MAX_QUEUED} by default. */
  readonly maxQueued?: number | undefined;
}

export interface RunOptions {
  /** Of the augmentation's draws; the same seed, the same result. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Decodes, resizes, augments and normalises image files on worker threads. */
export interface Preprocessor {
  /**
   * One image file as [3, resolution, resolution]. The bytes are copied; the result is the caller's own.
   *
   * @throws InvalidInputError for a file that cannot be decoded, ResourceExhaustedError when the queue is full,
   * FailedPreconditionError after {@link close}, the signal's error when it is aborted.
   */
  run(file: Uint8Array, options?: RunOptions): Promise<Float32Array<ArrayBuffer>>;
  /**
   * Several files, each with its own result: a bad image never fails its neighbours. File i gets the seed plus i.
   *
   * @throws the signal's error when it is aborted; everything else that {@link run} throws is an item's result.
   */
  runAll(
    files: readonly Uint8Array[],
    options?: RunOptions,
  ): Promise<(Float32Array<ArrayBuffer> | ApplicationError)[]>;
  /** Finishes what was accepted, then stops the threads. */
  close(): Promise<void>;
}

/** Of files waiting, each up to its byte limit: a bound on memory, far more than keeps the threads busy. */
export const DEFAULT_MAX_QUEUED = 4096;

/** @throws InvalidInputError for a resolution or number of threads that makes no sense. */
export function createPreprocessor(options: PreprocessorOptions): Preprocessor {
  requireResolution(options.resolution);
  const threads = options.threads ?? availableParallelism();
  if (!Number.isInteger(threads) || threads < 1)
    throw new InvalidInputError(`${threads} is not a whole number above 0`, { place: 'threads' });
  return new ThreadedPreprocessor(options, threads);
}

class ThreadedPreprocessor implements Preprocessor {
  readonly #pool: Piscina<WorkerTask, WorkerResult>;
  // The pool's own cancelling kills the thread of a running task, libvips' work with it; so what waits, waits here.
  readonly #slots: Slots;
  readonly #options: PreprocessorOptions;
  #closed: Promise<void> | undefined;

  constructor(options: PreprocessorOptions, threads: number) {
    this.#options = options;
    this.#slots = new Slots(threads, options.maxQueued ?? DEFAULT_MAX_QUEUED);
    this.#pool = new Piscina({
      filename: new URL('./worker.ts', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
    });
  }

  async run(file: Uint8Array, { seed, signal }: RunOptions = {}): Promise<Float32Array<ArrayBuffer>> {
    throwIfAborted(signal);
    if (this.#closed) throw new FailedPreconditionError('the preprocessor is closed');
    const release = await this.#slots.take(signal);
    const work = this.#work(file, seed).finally(release);
    return signal ? abortable(work, signal) : work;
  }

  async runAll(
    files: readonly Uint8Array[],
    { seed = 0, signal }: RunOptions = {},
  ): Promise<(Float32Array<ArrayBuffer> | ApplicationError)[]> {
    const results = await Promise.all(
      files.map((file, index) =>
        this.run(file, { seed: seed + index, signal }).catch((error: unknown) => {
          if (error instanceof ApplicationError) return error;
          throw error;
        }),
      ),
    );
    throwIfAborted(signal);
    return results;
  }

  close(): Promise<void> {
    this.#closed ??= this.#slots.whenIdle().then(() => this.#pool.destroy());
    return this.#closed;
  }

  async #work(file: Uint8Array, seed: number | undefined): Promise<Float32Array<ArrayBuffer>> {
    const { resolution, augmentation, limits } = this.#options;
    // A copy to give away: posting a view copies all of the buffer behind it.
    const copy = new Uint8Array(file);
    const task = { file: copy, resolution, options: { augmentation, limits, seed } };
    const result = await this.#pool.run(task, { transferList: [copy.buffer] });
    if (result instanceof Float32Array) return result;
    throw new InvalidInputError(result.reason, result.place === undefined ? {} : { place: result.place });
  }
}

/** Rejects as soon as the signal says so; the work itself runs to its end. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {});
  }
}
