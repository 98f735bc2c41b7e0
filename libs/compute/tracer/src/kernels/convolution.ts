import { UnsupportedError } from '@online-cnclip/foundation';
import * as tf from '@tensorflow/tfjs-core';
import { apply, constant, scalar, type Value } from '../graph.ts';
import { input, int, ints, kernel } from './kernel.ts';
import { transpose } from './matmul.ts';

// TFJS computes images as NHWC with filters [height, width, in, out]; ONNX as NCHW with [out, in, height, width].
// The transposes between neighbouring nodes cancel in onnxruntime's optimizer.
const toChannelsFirst = (x: Value): Value => transpose(x, [0, 3, 1, 2]);
const toChannelsLast = (x: Value): Value => transpose(x, [0, 2, 3, 1]);

type ConvInfo = tf.backend_util.Conv2DInfo;

function padsOf({ padInfo }: ConvInfo): number[] {
  return [padInfo.top, padInfo.left, padInfo.bottom, padInfo.right];
}

function outputShape(info: ConvInfo): number[] {
  return [info.batchSize, info.outChannels, info.outHeight, info.outWidth];
}

function convolution(name: string, body: (...args: Parameters<Parameters<typeof kernel>[1]>) => Value): void {
  kernel(name, (inputs, attributes, backend) => {
    if (attributes['dataFormat'] !== undefined && attributes['dataFormat'] !== 'NHWC')
      throw new UnsupportedError(`${name} is traced for NHWC only, not ${attributes['dataFormat']}`);
    return backend.tensor(body(inputs, attributes, backend));
  });
}

function registerConv2D(): void {
  convolution(tf.Conv2D, (inputs, { strides, pad, dilations, dimRoundingMode }, backend) => {
    const [x, filter] = [input(inputs, 'x'), input(inputs, 'filter')];
    const info = tf.backend_util.computeConv2DInfo(
      x.shape as [number, number, number, number],
      filter.shape as [number, number, number, number],
      strides,
      dilations,
      pad,
      dimRoundingMode,
    );
    const operands = [toChannelsFirst(backend.operand(x)), transpose(backend.operand(filter), [3, 2, 0, 1])];
    const output = apply('Conv', operands, outputShape(info), 'float32', {
      strides: ints([info.strideHeight, info.strideWidth]),
      dilations: ints([info.dilationHeight, info.dilationWidth]),
      pads: ints(padsOf(info)),
    });
    return toChannelsLast(output);
  });

  convolution(tf.Conv2DBackpropInput, (inputs, { inputShape, strides, pad, dimRoundingMode }, backend) => {
    const [dy, filter] = [input(inputs, 'dy'), input(inputs, 'filter')];
    const info = tf.backend_util.computeConv2DInfo(
      inputShape,
      filter.shape as [number, number, number, number],
      strides,
      1,
      pad,
      dimRoundingMode,
    );
    const operands = [toChannelsFirst(backend.operand(dy)), transpose(backend.operand(filter), [3, 2, 0, 1])];
    return toChannelsLast(transposedConvolution(operands, info, info.inChannels, 1));
  });

  convolution(tf.Conv2DBackpropFilter, (inputs, { strides, pad, filterShape, dimRoundingMode }, backend) => {
    const [x, dy] = [input(inputs, 'x'), input(inputs, 'dy')];
    const info = tf.backend_util.computeConv2DInfo(
      x.shape as [number, number, number, number],
      filterShape,
      strides,
      1,
      pad,
      dimRoundingMode,
    );
    return filterGradient(backend.operand(x), backend.operand(dy), info);
  });
}

/** The adjoint of a strided convolution or pooling: its output has the input's size. */
function transposedConvolution(operands: Value[], info: ConvInfo, channels: number, group: number): Value {
  const { top, left, bottom, right } = info.padInfo;
  const [kernelHeight, kernelWidth] = [info.effectiveFilterHeight, info.effectiveFilterWidth];
  const extra = (size: number, out: number, stride: number, kernelSize: number, pads: number) =>
    size - ((out - 1) * stride + kernelSize - pads);
  const shape = [info.batchSize, channels, info.inHeight, info.inWidth];
  return apply('ConvTranspose', operands, shape, 'float32', {
    strides: ints([info.strideHeight, info.strideWidth]),
    pads: ints([top, left, bottom, right]),
    output_padding: ints([
      extra(info.inHeight, info.outHeight, info.strideHeight, kernelHeight, top + bottom),
      extra(info.inWidth, info.outWidth, info.strideWidth, kernelWidth, left + right),
    ]),
    group: int(group),
  });
}

/**
 * The gradient by the filter is itself a convolution: channels take the batch's place, dy is the filter, and the
 * forward stride becomes its dilation. `x [n, h, w, in]`, `dy [n, h', w', out]` -> `[kh, kw, in, out]`.
 */
function filterGradient(x: Value, dy: Value, info: ConvInfo): Value {
  const { top, left } = info.padInfo;
  const reach = (out: number, stride: number, kernelSize: number) => (out - 1) * stride + kernelSize;
  const bottom = reach(info.outHeight, info.strideHeight, info.filterHeight) - info.inHeight - top;
  const right = reach(info.outWidth, info.strideWidth, info.filterWidth) - info.inWidth - left;
  const operands = [transpose(crop(x, bottom, right), [3, 0, 1, 2]), transpose(dy, [3, 0, 1, 2])];
  const shape = [info.inChannels, info.outChannels, info.filterHeight, info.filterWidth];
  const gradient = apply('Conv', operands, shape, 'float32', {
    strides: ints([1, 1]),
    dilations: ints([info.strideHeight, info.strideWidth]),
    pads: ints([top, left, Math.max(0, bottom), Math.max(0, right)]),
  });
  return transpose(gradient, [2, 3, 0, 1]);
}

/** Rows and columns that a strided convolution never reached (negative padding) are left out. */
function crop(x: Value, bottom: number, right: number): Value {
  if (bottom >= 0 && right >= 0) return x;
  const [n = 0, height = 0, width = 0, channels = 0] = x.shape;
  const [rows, columns] = [height + Math.min(0, bottom), width + Math.min(0, right)];
  const list = (values: number[]) => constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  const operands = [x, list([0, 0]), list([rows, columns]), list([1, 2])];
  return apply('Slice', operands, [n, rows, columns, channels], x.elementType);
}

function registerPooling(): void {
  const pooled = (name: string, op: string, attributes: Readonly<Record<string, { int: number }>>) =>
    convolution(name, (inputs, { filterSize, strides, pad, dimRoundingMode }, backend) => {
      const x = input(inputs, 'x');
      const info = poolInfo(x.shape, filterSize, strides, pad, dimRoundingMode);
      const output = apply(op, [toChannelsFirst(backend.operand(x))], outputShape(info), 'float32', {
        kernel_shape: ints([info.filterHeight, info.filterWidth]),
        strides: ints([info.strideHeight, info.strideWidth]),
        pads: ints(padsOf(info)),
        ...attributes,
      });
      return toChannelsLast(output);
    });
  pooled(tf.AvgPool, 'AveragePool', { count_include_pad: { int: 0 } });
  pooled(tf.MaxPool, 'MaxPool', {});

  convolution(tf.AvgPoolGrad, (inputs, { filterSize, strides, pad, dimRoundingMode }, backend) => {
    const [dy, x] = [input(inputs, 'dy'), input(inputs, 'input')];
    const info = poolInfo(x.shape, filterSize, strides, pad, dimRoundingMode);
    if (padsOf(info).some((amount) => amount > 0))
      throw new UnsupportedError('the gradient of a padded AvgPool is not traced');
    const size = info.filterHeight * info.filterWidth;
    const weights = apply(
      'Expand',
      [scalar('float32', 1 / size), poolFilterShape(info)],
      [info.inChannels, 1, info.filterHeight, info.filterWidth],
      'float32',
    );
    const operands = [toChannelsFirst(backend.operand(dy)), weights];
    return toChannelsLast(transposedConvolution(operands, info, info.inChannels, info.inChannels));
  });
}

function poolInfo(
  shape: readonly number[],
  filterSize: number | [number, number],
  strides: number | [number, number],
  pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding,
  rounding: 'floor' | 'round' | 'ceil' | undefined,
): ConvInfo {
  return tf.backend_util.computePool2DInfo(
    shape as [number, number, number, number],
    filterSize,
    strides,
    1,
    pad,
    rounding,
  );
}

function poolFilterShape(info: ConvInfo): Value {
  const sizes = [info.inChannels, 1, info.filterHeight, info.filterWidth];
  return constant('int64', [4], BigInt64Array.from(sizes, BigInt));
}

export function registerConvolution(): void {
  registerConv2D();
  registerPooling();
  kernel(tf.FusedBatchNorm, (inputs, { varianceEpsilon }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    const [mean, variance] = [
      backend.operand(input(inputs, 'mean')),
      backend.operand(input(inputs, 'variance')),
    ];
    const stabilized = apply(
      'Add',
      [variance, scalar('float32', varianceEpsilon)],
      variance.shape,
      'float32',
    );
    const deviation = apply('Sqrt', [stabilized], variance.shape, 'float32');
    const centered = apply('Sub', [x, mean], x.shape, 'float32');
    let y = apply('Div', [centered, deviation], x.shape, 'float32');
    if (inputs['scale']) y = apply('Mul', [y, backend.operand(inputs['scale'])], x.shape, 'float32');
    if (inputs['offset']) y = apply('Add', [y, backend.operand(inputs['offset'])], x.shape, 'float32');
    return backend.tensor(y);
  });
}
