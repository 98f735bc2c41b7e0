import { apply, type RecordedNode, record, type Value, visitNodes } from './graph.ts';
import { ONNX_DATA_TYPE } from './onnx-format.ts';
import { shapeOperand } from './symbols.ts';

/** Operators that are worth computing in half precision: all but the work of a model. */
const PRODUCTS = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose', 'MultiHeadAttention']);

/**
 * The same graph with its matrix products and convolutions in half precision: operands are rounded to binary16, and so are
 * results, which then go on in binary32. A provider without such kernels computes them in binary32 in between.
 */
export function withHalfProducts(
  outputs: readonly (readonly [string, Value])[],
): readonly (readonly [string, Value])[] {
  const changed = new Map<Value, Value>();
  const halves = new Map<Value, Value>();
  const at = (value: Value): Value => changed.get(value) ?? value;
  const half = (value: Value): Value => {
    if (value.elementType !== 'float32') return value;
    const known = halves.get(value) ?? keepRounded(cast(value, 'float16'));
    halves.set(value, known);
    return known;
  };
  for (const node of visitNodes(outputs.map(([, value]) => value))) {
    const isProduct = PRODUCTS.has(node.op);
    const operands = node.inputs.map((input) => input && (isProduct ? half(at(input)) : at(input)));
    const results = isProduct ? product(node, operands) : copy(node, operands, node.outputs);
    node.outputs.forEach((output, i) => {
      changed.set(output, results[i] as Value);
    });
  }
  return outputs.map(([name, value]) => [name, at(value)]);
}

const copy = (
  { op, attributes, domain }: RecordedNode,
  operands: readonly (Value | null)[],
  outputs: readonly Pick<Value, 'elementType' | 'shape'>[],
): readonly Value[] => record(op, operands, outputs, attributes, domain);

function product(node: RecordedNode, operands: readonly (Value | null)[]): readonly Value[] {
  const specs = node.outputs.map(({ shape }) => ({ shape, elementType: 'float16' as const }));
  return copy(node, operands, specs).map((value) => cast(keepRounded(value), 'float32'));
}

/**
 * A view of the value as it is. Where a provider has no kernel for half precision, onnxruntime puts a cast of its own beside ours
 * and then removes the two, and with them the rounding; it does not look through a view.
 */
const keepRounded = (value: Value): Value =>
  apply('Reshape', [value, shapeOperand(value.shape)], value.shape, value.elementType);

const cast = (value: Value, to: 'float16' | 'float32'): Value =>
  apply('Cast', [value], value.shape, to, { to: { int: ONNX_DATA_TYPE[to] } });
