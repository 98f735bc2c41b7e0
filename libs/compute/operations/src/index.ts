import './gradients.ts';
import './onnx-kernels.ts';

export { type AttentionOptions, attention, MASKED_SCORE } from './attention.ts';
export { gatherRows, type ReplicaPlace, sumOverReplicas } from './collective.ts';
export { dropout } from './dropout.ts';
export { type ActivationKind, gelu, QUICK_GELU_ALPHA, quickGelu } from './gelu.ts';
export { layerNorm } from './layer-norm.ts';
export { linear } from './linear.ts';
export { activatedLinear, normalizedLinear } from './recomputed.ts';
export { firstToken, positionsOf } from './sequence.ts';
