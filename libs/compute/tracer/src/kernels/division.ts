import { apply, scalar, uniformElement, type Value } from '../graph.ts';
import { cast } from './kernel.ts';

type Shape = readonly number[];

/** The whole number below a / b, in the type of a. */
export function floorDivide(a: Value, b: Value, shape: Shape): Value {
  if (a.elementType !== 'float32') return divideWhole(a, b, shape);
  const quotient = apply('Div', [a, cast(b, 'float32')], shape, 'float32');
  return apply('Floor', [quotient], shape, 'float32');
}

/** The remainder with the divisor's sign, as TFJS and Python have it. */
export function floorModulo(a: Value, b: Value, shape: Shape): Value {
  if (a.elementType !== 'float32') {
    const { divisor, isZero } = withoutZero(b);
    const rest = apply('Mod', [a, divisor], shape, a.elementType, { fmod: { int: 0 } });
    return isZero ? zeroWhere(isZero, rest) : rest;
  }
  const rest = apply('Mod', [a, b], shape, 'float32', { fmod: { int: 1 } });
  const [restBelow, divisorBelow] = [isNegative(rest), isNegative(b)];
  const differ = apply('Xor', [restBelow, divisorBelow], shape, 'bool');
  const isExact = apply('Equal', [rest, scalar('float32', 0)], shape, 'bool');
  const moved = apply('Add', [rest, b], shape, 'float32');
  const signed = apply('Where', [differ, moved, rest], shape, 'float32');
  return apply('Where', [isExact, rest, signed], shape, 'float32');
}

/** Without a detour through float32, which holds no whole number above 2^24 exactly: (a - a mod b) / b. */
function divideWhole(a: Value, b: Value, shape: Shape): Value {
  const { divisor, isZero } = withoutZero(b);
  const type = a.elementType;
  const rest = apply('Mod', [a, divisor], shape, type, { fmod: { int: 0 } });
  const quotient = apply('Div', [apply('Sub', [a, rest], shape, type), divisor], shape, type);
  return isZero ? zeroWhere(isZero, quotient) : quotient;
}

/** A division of integers by zero would end the process. TFJS makes it infinite, and that as an integer zero. */
function withoutZero(b: Value): { divisor: Value; isZero: Value | null } {
  const fixed = uniformElement(b);
  if (fixed !== null && fixed !== 0) return { divisor: b, isZero: null };
  const isZero = apply('Equal', [b, scalar(b.elementType, 0)], b.shape, 'bool');
  const operands = [isZero, scalar(b.elementType, 1), b];
  return { divisor: apply('Where', operands, b.shape, b.elementType), isZero };
}

const zeroWhere = (isZero: Value, value: Value): Value =>
  apply('Where', [isZero, scalar(value.elementType, 0), value], value.shape, value.elementType);

const isNegative = (x: Value): Value => apply('Less', [x, scalar('float32', 0)], x.shape, 'bool');
