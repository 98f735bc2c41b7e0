import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type NdArray, UnavailableError, UnsupportedError } from '@online-cnclip/foundation';
import { type Program, trace } from '@online-cnclip/tracer';
import { checkedInput } from './checked-input.ts';
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
  /** What it computes on (default: the CPU). `cuda` is a GPU of NVIDIA's, where the installed onnxruntime has that provider. */
  readonly device?: 'cpu' | 'cuda';
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
 * Runs programs as ONNX graphs on onnxruntime, in a thread of its own: the caller's event loop stays free. Programs of one
 * runtime share that thread and run one after the other.
 * Preparing the first program throws an UnsupportedError when the installed onnxruntime cannot compute on the device.
 */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): Runtime {
  const thread = new ComputeThread();
  const threads = options.threads ?? availableParallelism();
  const { arena = true, device = 'cpu' } = options;
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
      const request = {
        kind: 'prepare',
        session,
        model: model.bytes,
        external,
        threads,
        arena,
        device,
      } as const;
      await thread.ask({ ...request, ...profile }).catch((error: unknown) => {
        throw explained(error, device);
      });
      // Not the program itself: its constants, the weights, are the compute thread's now.
      const { name, inputs } = program;
      return executable(thread, session, { name, inputs }, model.outputNames);
    },
    dispose: () => thread.close(),
  };
}

/** What onnxruntime says of a provider that it cannot load, and of one without a GPU, is about its files. */
function explained(cause: unknown, device: 'cpu' | 'cuda'): unknown {
  if (device === 'cpu') return cause;
  return new UnsupportedError(
    'the installed onnxruntime-node cannot compute on "cuda": it needs an NVIDIA GPU with its driver, CUDA 12 with cuDNN 9, and the ' +
      'CUDA files of onnxruntime-node (ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node)',
    { place: 'device', cause },
  );
}

function executable(
  thread: ComputeThread,
  session: number,
  program: Pick<Program, 'name' | 'inputs'>,
  outputNames: readonly string[],
): Executable {
  return {
    async run(inputs, into = {}) {
      const feeds = program.inputs.map(
        (spec): ArrayMessage => ({ name: spec.name, ...checkedInput(program.name, spec, inputs[spec.name]) }),
      );
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
