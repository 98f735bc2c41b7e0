import { availableParallelism } from 'node:os';
import { type NdArray, UnsupportedError } from '@online-cnclip/foundation';
import { type Program, trace, traceStages } from '@online-cnclip/tracer';
import { checkedInput } from './checked-input.ts';
import { ComputeThread } from './compute-thread-client.ts';
import type { Executable, ReplicaExchange, Runtime } from './program.ts';
import type { ArrayMessage } from './protocol.ts';
import { allInMemory, writeInto } from './run-arrays.ts';
import { isShared, withoutRest } from './shared-memory.ts';
import { stagedExecutable } from './staged-executable.ts';

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
  /**
   * How far its threads step back behind the process's other ones (default 0; added to its own, as `nice` does): those of a server
   * that answers calls beside computing should not wait for a core.
   */
  readonly niceness?: number;
  /** Writes onnxruntime's profile of every program to `<prefix>_*.json` (for the benchmark). */
  readonly profilePrefix?: string;
}

/**
 * Runs programs as ONNX graphs on onnxruntime, in a thread of its own: the caller's event loop stays free. Programs of one
 * runtime share that thread and run one after the other.
 * Preparing the first program throws an UnsupportedError when the installed onnxruntime cannot compute on the device.
 */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): Runtime {
  const thread = new ComputeThread({ niceness: options.niceness ?? 0 });
  const threads = options.threads ?? availableParallelism();
  const { arena = true, device = 'cpu' } = options;
  let sessions = 0;
  const load = async (
    name: string,
    model: Uint8Array,
    external: readonly { readonly path: string; readonly data: ArrayMessage['data'] }[] = [],
  ): Promise<number> => {
    const session = sessions++;
    const { profilePrefix } = options;
    const profile = profilePrefix === undefined ? {} : { profilePrefix: `${profilePrefix}-${name}` };
    const request = { kind: 'prepare', session, model, external, threads, arena, device } as const;
    await thread.ask({ ...request, ...profile }).catch((error: unknown) => {
      throw explained(error, device);
    });
    return session;
  };
  return {
    name: 'onnxruntime',
    canExchange: true,
    async prepare(program: Program, exchange?: ReplicaExchange): Promise<Executable> {
      // Not the program itself: its constants, the weights, are the compute thread's now.
      const { name, inputs } = program;
      if (exchange) {
        const stages = [];
        for (const { bytes, ...stage } of traceStages(program))
          stages.push({ ...stage, session: await load(name, bytes) });
        return stagedExecutable(thread, stages, { name, inputs }, exchange);
      }
      const model = trace(program);
      const external = [...model.external].map(([path, data]) => ({ path, data }));
      const session = await load(name, model.bytes, external);
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
    async run(given, places = {}) {
      const [inputs, into] = [allInMemory(given), allInMemory(places)];
      const feeds = program.inputs.map(
        (spec): ArrayMessage => ({
          name: spec.name,
          ...withoutRest(checkedInput(program.name, spec, inputs[spec.name])),
        }),
      );
      const isInPlace = ([, array]: [string, NdArray]) => isShared(array);
      const fetches = Object.entries(into)
        .filter(isInPlace)
        .map(([name, array]): ArrayMessage => ({ name, ...array }));
      const answered = await thread.ask({ kind: 'run', session, inputs: feeds, into: fetches });
      const outputs = new Map<string, NdArray>(
        answered.map(({ name, ...array }) => [name, array as NdArray]),
      );
      writeInto(outputs, into);
      return Object.fromEntries(outputNames.map((name) => [name, outputs.get(name) as NdArray]));
    },
    async dispose() {
      await thread.ask({ kind: 'release', session });
    },
  };
}
