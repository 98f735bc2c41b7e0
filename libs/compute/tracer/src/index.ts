export { TRACER_BACKEND, TracerBackend } from './backend.ts';
export { emitNode, registerTracerKernel } from './emit.ts';
export {
  type Attributes,
  apply,
  collectGraph,
  constant,
  type Elements,
  elementsOf,
  scalar,
  type Value,
} from './graph.ts';
export { type Attribute, type ElementType, encodeModel, OPSET_VERSION } from './onnx-format.ts';
export type { Dimension, Precision, Program, TensorSpec } from './program.ts';
export { COLLECTIVE_DOMAIN } from './stages.ts';
export {
  registerTracer,
  type TracedCollective,
  type TracedModel,
  type TracedStage,
  trace,
  traceStages,
} from './trace.ts';
