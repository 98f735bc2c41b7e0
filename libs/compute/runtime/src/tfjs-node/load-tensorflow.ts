// The one place that knows the native package: plain facts and TFJS tensors in and out.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import util from 'node:util';
import { FailedPreconditionError, UnsupportedError } from '@online-cnclip/foundation';
import { engine, type KernelBackend, setBackend } from '@tensorflow/tfjs-core';

/** The name under which the package registers its backend with TFJS. */
const BACKEND = 'tensorflow';
const PACKAGE = '@tensorflow/tfjs-node-gpu';

export interface TensorFlowOptions {
  /**
   * Folder of the built package, as `scripts/build-tfjs-node.mjs` prints it; absent: the package of that name where Node finds it.
   */
  readonly folder?: string;
  /** Whether it may compute on the CPU: TensorFlow falls back to it without a word. */
  readonly allowCpu: boolean;
}

export interface TensorFlow {
  /** Of the TensorFlow library, such as `2.16.2`. */
  readonly version: string;
  readonly usesGpu: boolean;
  /** Operations that TensorFlow itself has run for this process so far. */
  operations(): number;
}

/** What the package's backend has beyond TFJS's. */
interface NodeBackend extends KernelBackend {
  readonly isUsingGpuDevice: boolean;
  binding: NativeBinding;
}

interface NativeBinding {
  readonly TF_Version: string;
  executeOp(...args: unknown[]): unknown;
}

let loaded: Promise<TensorFlow> | undefined;

/**
 * Loads TensorFlow into this process and makes it TFJS's backend; once, whatever is asked later.
 *
 * @throws UnsupportedError when the package is not there or its library does not load, FailedPreconditionError when it would compute
 *   on the CPU and that was not allowed.
 */
export async function loadTensorFlow(options: TensorFlowOptions): Promise<TensorFlow> {
  loaded ??= load(options.folder);
  const tensorFlow = await loaded.catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  if (!tensorFlow.usesGpu && !options.allowCpu)
    throw new FailedPreconditionError(
      `TensorFlow ${tensorFlow.version} sees no GPU and would compute on the CPU; check the driver, CUDA 12.3 with cuDNN 8.9 and ` +
        'CUDA_VISIBLE_DEVICES, or allow the CPU',
      { place: 'runtime tfjs-node-gpu' },
    );
  return tensorFlow;
}

async function load(folder: string | undefined): Promise<TensorFlow> {
  restoreRemovedUtilities();
  try {
    await import(moduleUrl(folder));
  } catch (cause) {
    throw new UnsupportedError(
      `${PACKAGE} cannot be loaded${folder === undefined ? '' : ` from ${folder}`}: build it with ` +
        '`node scripts/build-tfjs-node.mjs gpu` and name the folder that it prints',
      { place: 'runtime tfjs-node-gpu', cause },
    );
  }
  activateTensorFlow();
  const backend = engine().backend as NodeBackend;
  return {
    version: backend.binding.TF_Version,
    usesGpu: backend.isUsingGpuDevice,
    ...countOperations(backend),
  };
}

/** Another backend (the tracer's) may have been chosen since. For a loaded backend the switch is done when the call returns. */
export function activateTensorFlow(): void {
  if (engine().backendName !== BACKEND) void setBackend(BACKEND);
}

function moduleUrl(folder: string | undefined): string {
  const require = createRequire(import.meta.url);
  return pathToFileURL(require.resolve(folder ?? PACKAGE)).href;
}

/** The package of 2023 calls two functions that Node 23 took out of `util`. */
function restoreRemovedUtilities(): void {
  const removed = util as unknown as Record<string, unknown>;
  removed['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  removed['isArray'] ??= Array.isArray;
}

/** Counts at the border to the native library, so that the count proves who computed. */
function countOperations(backend: NodeBackend): Pick<TensorFlow, 'operations'> {
  let count = 0;
  const { binding } = backend;
  backend.binding = Object.create(binding, {
    executeOp: {
      value: (...args: unknown[]) => {
        count++;
        return binding.executeOp(...args);
      },
    },
  });
  return { operations: () => count };
}
