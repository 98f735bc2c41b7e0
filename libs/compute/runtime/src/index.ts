export { createOnnxRuntime, type OnnxRuntimeOptions } from './onnx-runtime.ts';
export * from './open-runtime.ts';
export * from './program.ts';
export { isShared, sharedZeros, toShared } from './shared-memory.ts';
export type { TensorFlow, TensorFlowOptions } from './tfjs-node/load-tensorflow.ts';
export { createTfjsNodeRuntime, type TfjsNodeRuntime } from './tfjs-node/tfjs-node-runtime.ts';
