import { InvalidInputError } from '@online-cnclip/foundation';
import { createOnnxRuntime } from './onnx-runtime.ts';
import type { Runtime } from './program.ts';
import { createTfjsNodeRuntime } from './tfjs-node/tfjs-node-runtime.ts';

export const RUNTIME_NAMES = ['onnxruntime', 'tfjs-node-gpu'] as const;
export type RuntimeName = (typeof RUNTIME_NAMES)[number];
/** What onnxruntime computes on. */
export const DEVICES = ['cpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

export interface RuntimeChoice {
  readonly runtime: RuntimeName;
  /** For onnxruntime; TensorFlow takes the GPU where it sees one. */
  readonly device: Device;
  /** Threads that one operator is spread over, on a CPU; absent: the machine's cores. */
  readonly threads?: number;
  /** See createOnnxRuntime(). */
  readonly arena?: boolean;
  /** Folder of the built TensorFlow package; absent: where Node finds it. */
  readonly tfjsNodeFolder?: string;
  /** Whether tfjs-node-gpu may compute on a CPU. */
  readonly allowCpu?: boolean;
}

/**
 * The runtime that was asked for, or an error: never another one.
 *
 * @throws UnsupportedError where it is not installed, FailedPreconditionError where its GPU is missing, InvalidInputError where the
 *   choices contradict one another.
 */
export async function openRuntime(choice: RuntimeChoice): Promise<Runtime> {
  const { runtime, device, threads, arena, tfjsNodeFolder, allowCpu = false } = choice;
  if (runtime === 'onnxruntime')
    return createOnnxRuntime({
      device,
      ...(threads === undefined ? {} : { threads }),
      ...(arena === undefined ? {} : { arena }),
    });
  if (device === 'cuda')
    throw new InvalidInputError('"cuda" is a device of onnxruntime; tfjs-node-gpu takes the GPU by itself', {
      place: 'device',
    });
  return createTfjsNodeRuntime({
    allowCpu,
    ...(tfjsNodeFolder === undefined ? {} : { folder: tfjsNodeFolder }),
  });
}
