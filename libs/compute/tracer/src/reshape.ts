import { apply, type Value } from './graph.ts';
import { shapeOperand } from './symbols.ts';

/** The same elements in another shape; nothing is recorded where the shape is the value's own. */
export function reshape(value: Value, shape: readonly number[]): Value {
  if (value.shape.join() === shape.join()) return value;
  // A zero is a size here; by default it would stand for the size that the input has there.
  const attributes = shape.includes(0) ? { allowzero: { int: 1 } } : {};
  return apply('Reshape', [value, shapeOperand(shape)], shape, value.elementType, attributes);
}
