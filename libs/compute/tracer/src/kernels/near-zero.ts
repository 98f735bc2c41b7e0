// ONNX has no operators for these; written out, exp(x) - 1 and log(1 + x) lose every digit as x gets small.
import { apply, scalar, type Value } from '../graph.ts';

const elementwise = (op: string, x: Value, ...more: Value[]): Value =>
  apply(op, [x, ...more], x.shape, 'float32');
const one = scalar('float32', 1);

/** exp(x) - 1 = tanh(x / 2) (exp(x) + 1), for float32. */
export function expm1(x: Value): Value {
  const half = elementwise('Tanh', elementwise('Mul', x, scalar('float32', 0.5)));
  return elementwise('Mul', elementwise('Add', elementwise('Exp', x), one), half);
}

/**
 * log(1 + x) for float32: with u = 1 + x as it was rounded, log(u) x / (u - 1) makes up for the rounding
 * (Goldberg, 1991, What every computer scientist should know about floating-point arithmetic, theorem 4).
 */
export function log1p(x: Value): Value {
  const u = elementwise('Add', x, one);
  const rounded = elementwise('Sub', u, one);
  const log = elementwise('Log', u);
  const corrected = elementwise('Div', elementwise('Mul', log, x), rounded);
  const isExact = apply('Equal', [rounded, x], x.shape, 'bool');
  const isTiny = apply('Equal', [u, one], x.shape, 'bool');
  const large = apply('Where', [isExact, log, corrected], x.shape, 'float32');
  return apply('Where', [isTiny, x, large], x.shape, 'float32');
}
