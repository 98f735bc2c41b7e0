export { createOnnxRuntime, type OnnxRuntimeOptions } from './onnx-runtime.ts';
export * from './program.ts';
export { isShared, sharedZeros, toShared } from './shared-memory.ts';
