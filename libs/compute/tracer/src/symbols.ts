import { apply, int64List, type Value } from './graph.ts';

/**
 * TFJS needs concrete sizes, so a symbolic dimension is recorded as a prime that divides no other size: a recorded
 * size that the prime divides is (rest x symbol) and becomes arithmetic on the input's real shape.
 * trace.ts records every symbolic program with two sets of primes and compares, which catches sizes that
 * leak into constants.
 */
export interface SymbolBinding {
  readonly name: string;
  readonly prime: number;
  readonly input: Value;
  readonly axis: number;
}

let bindings: readonly SymbolBinding[] = [];
let sizes = new Map<string, Value>();

export function bindSymbols(next: readonly SymbolBinding[]): void {
  bindings = next;
  sizes = new Map();
}

export const isSymbolic = (size: number): boolean =>
  size !== 0 && bindings.some(({ prime }) => size % prime === 0);

/** Declared form of a recorded shape: a symbol's own name where a size is exactly that symbol. */
export function describeShape(shape: readonly number[], outputName = ''): readonly (number | string)[] {
  return shape.map((size, axis) => {
    const exact = bindings.find(({ prime }) => prime === size);
    if (exact) return exact.name;
    return isSymbolic(size) ? `${outputName}_${axis}` : size;
  });
}

/** The recorded shape as an operand: a constant where it is fixed, computed where it has symbols. */
export function shapeOperand(shape: readonly number[]): Value {
  if (!shape.some(isSymbolic)) return int64List(shape);
  const key = shape.join();
  const known = sizes.get(key);
  if (known) return known;
  const operand = apply('Concat', shape.map(sizeOperand), [shape.length], 'int64', { axis: { int: 0 } });
  sizes.set(key, operand);
  return operand;
}

/** One size as a list of one 64-bit integer. */
function sizeOperand(size: number): Value {
  let rest = size;
  let product: Value | null = null;
  for (const binding of bindings)
    while (rest !== 0 && rest % binding.prime === 0) {
      rest /= binding.prime;
      const factor = symbolOperand(binding);
      product = product ? apply('Mul', [product, factor], [1], 'int64') : factor;
    }
  if (!product) return int64List([size]);
  return rest === 1 ? product : apply('Mul', [product, int64List([rest])], [1], 'int64');
}

function symbolOperand({ name, input, axis }: SymbolBinding): Value {
  const known = sizes.get(name);
  if (known) return known;
  const attributes = { start: { int: axis }, end: { int: axis + 1 } };
  const operand = apply('Shape', [input], [1], 'int64', attributes);
  sizes.set(name, operand);
  return operand;
}
