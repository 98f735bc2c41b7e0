import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { InvalidInputError, type NdArray, sizeOf, UnavailableError } from '@online-cnclip/foundation';
import { type Program, type TensorSpec, trace } from '@online-cnclip/tracer';
import type { Executable, Runtime } from './program.ts';
import type { ArrayMessage, Request, Response } from './protocol.ts';
import { isShared } from './shared-memory.ts';

export interface OnnxRuntimeOptions {
  /** Threads that one operator is spread over; default: the machine's cores. */
  readonly threads?: number;
  /**
   * Whether onnxruntime keeps freed memory in an arena of its own (default: true). Its arena rounds up generously: for a
   * training step, whose tensors are large and of many sizes, the allocator of the C library takes a third less
   * memory in the same time.
   */
  readonly arena?: boolean;
  /** Writes onnxruntime's profile of every program to `<prefix>_*.json` (for the benchmark). */
  readonly profilePrefix?: string;
}

// A distributive Omit: the request without the number that the thread gives it.
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

interface Pending {
  resolve(outputs: readonly ArrayMessage[]): void;
  reject(error: Error): void;
}

/** The owner's end of one compute thread: numbered requests, each answered once. */
class ComputeThread {
  readonly #worker = new Worker(new URL('./compute-thread.ts', import.meta.url));
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #closed = false;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', ({ id, outputs, error }: Response) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
      if (error === undefined) pending?.resolve(outputs ?? []);
      else pending?.reject(new Error(`onnxruntime: ${error}`));
    });
    this.#worker.on('error', (cause) => this.#fail('the compute thread failed', cause));
    this.#worker.on('exit', () => this.#fail('the compute thread has ended'));
  }

  #fail(message: string, cause?: unknown): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new UnavailableError(message, { cause }));
    this.#pending.clear();
  }

  ask(request: Unnumbered<Request>): Promise<readonly ArrayMessage[]> {
    if (this.#closed) return Promise.reject(new UnavailableError('the compute thread has ended'));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ ...request, id });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker.terminate();
  }
}

/**
 * Runs programs as ONNX graphs on onnxruntime's CPU provider, in a thread of its own: the caller's event loop stays
 * free. Programs of one runtime share that thread and run one after the other.
 */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): Runtime {
  const thread = new ComputeThread();
  const threads = options.threads ?? availableParallelism();
  const arena = options.arena ?? true;
  let sessions = 0;
  return {
    name: 'onnxruntime',
    async prepare(program: Program): Promise<Executable> {
      const model = trace(program);
      const session = sessions++;
      const external = [...model.external].map(([path, data]) => ({ path, data }));
      const { profilePrefix } = options;
      const profile =
        profilePrefix === undefined ? {} : { profilePrefix: `${profilePrefix}-${program.name}` };
      await thread.ask({
        kind: 'prepare',
        session,
        model: model.bytes,
        external,
        threads,
        arena,
        ...profile,
      });
      // Not the program itself: its constants, the weights, are the compute thread's now.
      const { name, inputs } = program;
      return executable(thread, session, { name, inputs }, model.outputNames);
    },
    dispose: () => thread.close(),
  };
}

function executable(
  thread: ComputeThread,
  session: number,
  program: Pick<Program, 'name' | 'inputs'>,
  outputNames: readonly string[],
): Executable {
  return {
    async run(inputs, into = {}) {
      const feeds = program.inputs.map((spec) => checkedInput(program.name, spec, inputs[spec.name]));
      const isInPlace = ([, array]: [string, NdArray]) => isShared(array);
      const given = Object.entries(into);
      const fetches = given.filter(isInPlace).map(([name, array]): ArrayMessage => ({ name, ...array }));
      const answered = await thread.ask({ kind: 'run', session, inputs: feeds, into: fetches });
      const outputs = new Map<string, NdArray>(
        answered.map(({ name, ...array }) => [name, array as NdArray]),
      );
      for (const [name, array] of given) {
        const fresh = outputs.get(name);
        if (fresh) (array.data as Float32Array).set(fresh.data as Float32Array);
        outputs.set(name, array);
      }
      return Object.fromEntries(outputNames.map((name) => [name, outputs.get(name) as NdArray]));
    },
    async dispose() {
      await thread.ask({ kind: 'release', session });
    },
  };
}

function checkedInput(program: string, spec: TensorSpec, array: NdArray | undefined): ArrayMessage {
  const place = `${program}: input "${spec.name}"`;
  if (!array) throw new InvalidInputError('is missing', { place });
  const fits =
    array.shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => typeof size === 'string' || size === array.shape[axis]);
  if (!fits || array.dtype !== spec.dtype)
    throw new InvalidInputError(
      `${array.dtype}[${array.shape}] given, ${spec.dtype}[${spec.shape}] expected`,
      { place },
    );
  if (array.data.length !== sizeOf(array.shape))
    throw new InvalidInputError(`${array.data.length} values for the shape [${array.shape}]`, { place });
  return { name: spec.name, dtype: array.dtype, shape: array.shape, data: array.data };
}
