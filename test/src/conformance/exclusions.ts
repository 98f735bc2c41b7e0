import type { Exclusion } from './judge.ts';

/** TFJS's specs that fail on tracer + onnxruntime, each with the reason why that is as it should be. */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    reason: 'tensors of complex numbers and strings: no part of a model, and ONNX computes with neither',
    kernels: ['Complex'],
    messages: ['tensors of type string cannot be traced'],
  },
  {
    reason:
      'ragged and sparse tensors: no program uses them, and their sizes depend on values, which a graph has not',
    kernels: [
      'Bincount',
      'DenseBincount',
      'RaggedGather',
      'RaggedRange',
      'RaggedTensorToTensor',
      'SearchSorted',
      'SparseFillEmptyRows',
      'SparseReshape',
      'SparseSegmentMean',
      'SparseSegmentSum',
      'SparseToDense',
      'TensorScatterUpdate',
      'Unique',
    ],
  },
  {
    reason: 'operations on images: preprocessing is done outside of programs',
    kernels: [
      'CropAndResize',
      'Dilation2D',
      'FlipLeftRight',
      'NonMaxSuppressionV3',
      'NonMaxSuppressionV4',
      'NonMaxSuppressionV5',
      'ResizeBilinear',
      'ResizeNearestNeighbor',
      'Transform',
    ],
  },
  {
    reason:
      'convolutions and poolings that no tower has: in depth, by channel, in three dimensions, dilated by batches',
    kernels: [
      'AvgPool3D',
      'BatchToSpaceND',
      'Conv3D',
      'Conv3DBackpropInputV2',
      'DepthToSpace',
      'DepthwiseConv2dNative',
      'LRN',
      'MaxPool3D',
      'MaxPoolGrad',
      'MaxPoolWithArgmax',
      'SpaceToBatchND',
    ],
  },
  {
    reason: "TFJS's own fused kernels: its optimizer for saved models makes them, our programs have ours",
    kernels: ['FusedConv2D', 'FusedDepthwiseConv2D', '_FusedMatMul'],
  },
  {
    reason: 'kernels of operations that no program calls',
    kernels: ['Atan2', 'BitwiseAnd', 'BroadcastArgs', 'Cumprod', 'Diag', 'Einsum', 'MirrorPad'],
  },
  {
    reason:
      'random numbers drawn by the backend: programs get theirs as inputs, so that a step can be repeated',
    kernels: ['Multinomial'],
  },
  {
    reason: 'images with channels first: programs have them last, as TFJS does by default',
    messages: ['is traced for NHWC only'],
  },
  {
    reason:
      'the gradient of a padded average: TFJS divides by the whole window where its forward pass divides by what is inside; refused rather than wrong',
    specs: ['avgPool gradient x=[3,3,1] f=[3,3] s=1 p=explicit'],
  },
  {
    reason: 'onnxruntime refuses a padding as wide as the window',
    specs: [
      'pool max x=[2,2,3] f=[1,1] s=2 p=1 fractional outputs default rounding',
      'pool avg x=[2,2,3] f=[1,1] s=2 p=1 fractional outputs default rounding',
    ],
  },
  {
    reason: 'no gradient of any convolution: what comes in is larger than the output of one',
    specs: ['conv2dTranspose input=8x8x8,output=4x4x8,f=8,s=1,inDepth=8,p=same vec4'],
  },
  {
    reason:
      'one unit in the last place: the absolute tolerance is finer than float32 at results of this size',
    specs: ['exp int32', 'tan numbers exceed float32 precision'],
  },
  {
    reason:
      'indices have no values while a program is recorded; onnxruntime refuses those out of bounds when it runs',
    specs: ['gather throws when index is out of bound'],
  },
  {
    reason: 'time is measured by the runtime, not by the backend that records',
    specs: ['time cpu simple upload'],
  },
];
