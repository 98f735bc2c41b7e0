// The fused operations as single ONNX nodes. Domain com.microsoft: onnxruntime's contrib operators
// (docs/ContribOperators.md of onnxruntime).
import { COLLECTIVE_DOMAIN, emitNode, registerTracerKernel } from '@online-cnclip/tracer';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ATTENTION_KERNEL, MASKED_SCORE } from './attention.ts';
import { ALL_GATHER_KERNEL, ALL_REDUCE_KERNEL } from './collective.ts';
import { GELU_KERNEL, QUICK_GELU_ALPHA, QUICK_GELU_KERNEL } from './gelu.ts';
import { LAYER_NORM_KERNEL } from './layer-norm.ts';
import { LINEAR_KERNEL } from './linear.ts';

const CONTRIB = 'com.microsoft';
const f32 = (shape: readonly number[]) => ({ elementType: 'float32', shape }) as const;

registerTracerKernel(LINEAR_KERNEL, ({ x, weight, bias }, _, backend) => {
  const [input, matrix] = [x as TensorInfo, weight as TensorInfo];
  return emitNode(backend, {
    op: 'Gemm',
    inputs: [input, matrix, bias as TensorInfo],
    outputs: [f32([input.shape[0] as number, matrix.shape[0] as number])],
    attributes: { transB: { int: 1 } },
  });
});

registerTracerKernel(LAYER_NORM_KERNEL, ({ x, gamma, beta }, { epsilon }, backend) => {
  const { shape } = x as TensorInfo;
  const rows = [...shape.slice(0, -1), 1];
  return emitNode(backend, {
    op: 'LayerNormalization',
    inputs: [x as TensorInfo, gamma as TensorInfo, beta as TensorInfo],
    outputs: [f32(shape), f32(rows), f32(rows)],
    attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
  });
});

registerTracerKernel(GELU_KERNEL, ({ x }, _, backend) =>
  emitNode(backend, {
    op: 'Gelu',
    domain: CONTRIB,
    inputs: [x as TensorInfo],
    outputs: [f32((x as TensorInfo).shape)],
  }),
);

registerTracerKernel(QUICK_GELU_KERNEL, ({ x }, _, backend) =>
  emitNode(backend, {
    op: 'QuickGelu',
    domain: CONTRIB,
    inputs: [x as TensorInfo],
    outputs: [f32((x as TensorInfo).shape)],
    attributes: { alpha: { float: QUICK_GELU_ALPHA } },
  }),
);

registerTracerKernel(ATTENTION_KERNEL, ({ query, key, value, keyMask }, { heads }, backend) =>
  emitNode(backend, {
    op: 'MultiHeadAttention',
    domain: CONTRIB,
    inputs: [query as TensorInfo, key as TensorInfo, value as TensorInfo, null, keyMask ?? null],
    outputs: [f32((query as TensorInfo).shape)],
    attributes: { num_heads: { int: heads }, mask_filter_value: { float: MASKED_SCORE } },
  }),
);

registerTracerKernel(ALL_GATHER_KERNEL, ({ x }, { worldSize }, backend) => {
  const [rows = 0, ...rest] = (x as TensorInfo).shape;
  return emitNode(backend, {
    op: 'AllGather',
    domain: COLLECTIVE_DOMAIN,
    inputs: [x as TensorInfo],
    outputs: [f32([rows * worldSize, ...rest])],
  });
});

registerTracerKernel(ALL_REDUCE_KERNEL, ({ x }, _, backend) =>
  emitNode(backend, {
    op: 'AllReduceSum',
    domain: COLLECTIVE_DOMAIN,
    inputs: [x as TensorInfo],
    outputs: [f32((x as TensorInfo).shape)],
  }),
);
