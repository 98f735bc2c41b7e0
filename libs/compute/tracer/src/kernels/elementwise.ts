import * as tf from '@tensorflow/tfjs-core';
import type { TracerBackend } from '../backend.ts';
import { apply, scalar, uniformElement, type Value } from '../graph.ts';
import type { ElementType } from '../onnx-format.ts';
import { shapeOperand } from '../symbols.ts';
import { floorDivide, floorModulo } from './division.ts';
import {
  broadcastOperands,
  broadcastShape,
  cast,
  float,
  input,
  kernel,
  numeric,
  typeOf,
  withoutNaN,
} from './kernel.ts';
import { expm1, log1p } from './near-zero.ts';

type BinaryBody = (a: Value, b: Value, shape: readonly number[]) => Value;

function binary(name: string, body: BinaryBody): void {
  kernel(name, (inputs, _, backend) => {
    const [a, b] = [input(inputs, 'a'), input(inputs, 'b')];
    const shape = broadcastShape(a.shape, b.shape);
    if (name === tf.Multiply) {
      const product = timesOnes(backend, a, b, shape) ?? timesOnes(backend, b, a, shape);
      if (product) return backend.tensor(product);
    }
    return backend.tensor(body(...broadcastOperands(backend, a, b, shape), shape));
  });
}

/** x times ones, which is how TFJS's gradients broadcast: an Expand, or x itself. */
function timesOnes(
  backend: TracerBackend,
  x: tf.TensorInfo,
  ones: tf.TensorInfo,
  shape: readonly number[],
): Value | null {
  if (x.dtype !== 'float32' || uniformElement(backend.value(ones)) !== 1) return null;
  const value = backend.operand(x);
  if (x.shape.join() === shape.join()) return value;
  return apply('Expand', [value, shapeOperand(shape)], shape, value.elementType);
}

const arithmetic =
  (op: string): BinaryBody =>
  (a, b, shape) =>
    apply(op, [numeric(a), numeric(b)], shape, numeric(a).elementType);
const comparison =
  (op: string): BinaryBody =>
  (a, b, shape) =>
    apply(op, [op === 'Equal' ? a : numeric(a), op === 'Equal' ? b : numeric(b)], shape, 'bool');
const logical =
  (op: string): BinaryBody =>
  (a, b, shape) =>
    apply(op, [cast(a, 'bool'), cast(b, 'bool')], shape, 'bool');

function squaredDifference(a: Value, b: Value, shape: readonly number[]): Value {
  const difference = arithmetic('Sub')(a, b, shape);
  return apply('Mul', [difference, difference], shape, difference.elementType);
}

export function registerElementwise(): void {
  const binaries: readonly (readonly [string, BinaryBody])[] = [
    [tf.Add, arithmetic('Add')],
    [tf.Sub, arithmetic('Sub')],
    [tf.Multiply, arithmetic('Mul')],
    [tf.RealDiv, (a, b, shape) => apply('Div', [cast(a, 'float32'), cast(b, 'float32')], shape, 'float32')],
    [tf.FloorDiv, floorDivide],
    [tf.Mod, floorModulo],
    [tf.Maximum, arithmetic('Max')],
    [tf.Minimum, arithmetic('Min')],
    [tf.Pow, arithmetic('Pow')],
    [tf.SquaredDifference, squaredDifference],
    [tf.Greater, comparison('Greater')],
    [tf.GreaterEqual, comparison('GreaterOrEqual')],
    [tf.Less, comparison('Less')],
    [tf.LessEqual, comparison('LessOrEqual')],
    [tf.Equal, comparison('Equal')],
    [tf.NotEqual, (a, b, shape) => apply('Not', [comparison('Equal')(a, b, shape)], shape, 'bool')],
    [tf.LogicalAnd, logical('And')],
    [tf.LogicalOr, logical('Or')],
  ];
  for (const [name, body] of binaries) binary(name, body);
  registerUnary();
  registerOthers();
}

type UnaryBody = (x: Value) => Value;

const same =
  (op: string): UnaryBody =>
  (x) =>
    apply(op, [x], x.shape, x.elementType);
const floating =
  (op: string): UnaryBody =>
  (x) =>
    apply(op, [cast(x, 'float32')], x.shape, 'float32');
/** Rounding leaves whole numbers as they are; ONNX defines it for floating point only. */
const rounding =
  (op: string): UnaryBody =>
  (x) =>
    x.elementType === 'float32' ? same(op)(x) : x;
const times = (x: Value, y: Value): Value => apply('Mul', [x, y], x.shape, x.elementType);
const constantLike = (x: Value, value: number): Value => scalar(x.elementType, value);

function step(x: Value, alpha: number): Value {
  const type = x.elementType;
  const positive = apply('Greater', [x, constantLike(x, 0)], x.shape, 'bool');
  const low = apply('Where', [positive, scalar(type, 1), scalar(type, alpha)], x.shape, type);
  if (type !== 'float32') return low;
  return apply('Where', [apply('IsNaN', [x], x.shape, 'bool'), x, low], x.shape, type);
}

function registerUnary(): void {
  const unary = (name: string, body: UnaryBody) =>
    kernel(name, (inputs, _, backend) => backend.tensor(body(backend.operand(input(inputs, 'x')))));
  const floatingOps = {
    [tf.Exp]: 'Exp',
    [tf.Log]: 'Log',
    [tf.Sqrt]: 'Sqrt',
    [tf.Sigmoid]: 'Sigmoid',
    [tf.Erf]: 'Erf',
    [tf.Tanh]: 'Tanh',
    [tf.Sin]: 'Sin',
    [tf.Cos]: 'Cos',
    [tf.Tan]: 'Tan',
    [tf.Asin]: 'Asin',
    [tf.Acos]: 'Acos',
    [tf.Atan]: 'Atan',
    [tf.Sinh]: 'Sinh',
    [tf.Cosh]: 'Cosh',
    [tf.Asinh]: 'Asinh',
    [tf.Acosh]: 'Acosh',
    [tf.Atanh]: 'Atanh',
    [tf.Reciprocal]: 'Reciprocal',
    [tf.Softplus]: 'Softplus',
  };
  for (const [name, op] of Object.entries(floatingOps)) unary(name, floating(op));
  for (const [name, op] of Object.entries({ [tf.Neg]: 'Neg', [tf.Abs]: 'Abs' }))
    unary(name, (x) => same(op)(numeric(x)));
  unary(tf.Sign, (x) => {
    const signs = same('Sign')(numeric(x));
    return signs.elementType === 'float32' ? withoutNaN(signs, 0) : signs;
  });
  for (const [name, op] of Object.entries({ [tf.Floor]: 'Floor', [tf.Ceil]: 'Ceil', [tf.Round]: 'Round' }))
    unary(name, rounding(op));
  kernel(tf.Identity, (inputs, _, backend) => {
    const { dataId, shape, dtype } = input(inputs, 'x');
    backend.incRef(dataId);
    return { dataId, shape, dtype };
  });
  unary(tf.LogicalNot, (x) => apply('Not', [cast(x, 'bool')], x.shape, 'bool'));
  unary(tf.Relu, (x) =>
    apply('Max', [numeric(x), constantLike(numeric(x), 0)], x.shape, numeric(x).elementType),
  );
  unary(tf.Relu6, (x) => {
    const type = numeric(x).elementType;
    return apply('Clip', [numeric(x), scalar(type, 0), scalar(type, 6)], x.shape, type);
  });
  unary(tf.Rsqrt, (x) => floating('Reciprocal')(floating('Sqrt')(x)));
  unary(tf.Square, (x) => times(numeric(x), numeric(x)));
  unary(tf.Expm1, (x) => expm1(cast(x, 'float32')));
  unary(tf.Log1p, (x) => log1p(cast(x, 'float32')));
  unary(tf.IsNan, (x) => apply('IsNaN', [cast(x, 'float32')], x.shape, 'bool'));
  unary(tf.IsInf, (x) => apply('IsInf', [cast(x, 'float32')], x.shape, 'bool'));
  unary(tf.IsFinite, (x) => {
    const value = cast(x, 'float32');
    const bad = apply(
      'Or',
      [apply('IsNaN', [value], x.shape, 'bool'), apply('IsInf', [value], x.shape, 'bool')],
      x.shape,
      'bool',
    );
    return apply('Not', [bad], x.shape, 'bool');
  });
}

function registerOthers(): void {
  const alpha = (name: string, op: string, attribute: string) =>
    kernel(name, (inputs, attributes, backend) => {
      const x = cast(backend.operand(input(inputs, 'x')), 'float32');
      const extra = attribute in attributes ? { alpha: float(attributes[attribute]) } : {};
      return backend.tensor(apply(op, [x], x.shape, 'float32', extra));
    });
  alpha(tf.Elu, 'Elu', 'alpha');
  alpha(tf.Selu, 'Selu', '');
  alpha(tf.LeakyRelu, 'LeakyRelu', 'alpha');
  kernel(tf.Step, (inputs, { alpha: below }, backend) =>
    backend.tensor(step(numeric(backend.operand(input(inputs, 'x'))), below)),
  );
  kernel(tf.Prelu, (inputs, _, backend) => {
    const [x, slope] = [input(inputs, 'x'), input(inputs, 'alpha')];
    const operands = [backend.operand(x), backend.operand(slope)].map((value) => cast(value, 'float32'));
    return backend.tensor(apply('PRelu', operands, x.shape, 'float32'));
  });
  kernel(tf.EluGrad, (inputs, _, backend) => {
    const [dy, y] = [backend.operand(input(inputs, 'dy')), backend.operand(input(inputs, 'y'))];
    const slope = apply('Add', [y, scalar('float32', 1)], y.shape, 'float32');
    const scaled = apply('Mul', [dy, slope], y.shape, 'float32');
    const isPositive = apply('GreaterOrEqual', [y, scalar('float32', 0)], y.shape, 'bool');
    return backend.tensor(apply('Where', [isPositive, dy, scaled], y.shape, 'float32'));
  });
  kernel(tf.Cast, (inputs, { dtype }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    return backend.tensor(cast(x, typeOf(dtype)));
  });
  kernel(tf.ClipByValue, (inputs, { clipValueMin, clipValueMax }, backend) => {
    const x = backend.operand(input(inputs, 'x'));
    const type: ElementType = x.elementType;
    return backend.tensor(
      apply('Clip', [x, scalar(type, clipValueMin), scalar(type, clipValueMax)], x.shape, type),
    );
  });
  kernel(tf.AddN, (inputs, _, backend) => {
    const tensors = Object.values(inputs).map((tensor) => backend.operand(tensor));
    const first = tensors[0] as Value;
    if (first.elementType === 'float32') return backend.tensor(apply('Sum', tensors, first.shape, 'float32'));
    return backend.tensor(tensors.reduce((a, b) => apply('Add', [a, b], a.shape, a.elementType)));
  });
}
