import { sizeOf } from '@online-cnclip/foundation';
import type {
  Attribute,
  ElementType,
  GraphMessage,
  InitializerMessage,
  NodeMessage,
  ValueInfoMessage,
} from './onnx-format.ts';

export type Attributes = Readonly<Record<string, Attribute>>;
export type Elements = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** An edge of the recorded graph: what one node makes, an input of the graph, or a constant. */
export interface Value {
  readonly elementType: ElementType;
  /** Sizes while recording; a multiple of a symbol's prime stands for that symbol (see symbols.ts). */
  readonly shape: readonly number[];
  readonly producer: Producer;
}

export type Producer = RecordedNode | GraphInput | Constant;

export interface RecordedNode {
  readonly kind: 'node';
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: Attributes;
  readonly outputs: Value[];
}

export interface GraphInput {
  readonly kind: 'input';
  readonly name: string;
}

export interface Constant {
  readonly kind: 'constant';
  readonly elements: Elements;
  /** Named constants (weights) are handed over beside the model instead of being copied into it. */
  readonly externalName?: string;
}

export interface OutputSpec {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
}

/** Records one node; returns its outputs. */
export function record(
  op: string,
  inputs: readonly (Value | null)[],
  outputs: readonly OutputSpec[],
  attributes: Attributes = {},
  domain = '',
): readonly Value[] {
  const node: RecordedNode = { kind: 'node', op, domain, inputs, attributes, outputs: [] };
  for (const { elementType, shape } of outputs) node.outputs.push({ elementType, shape, producer: node });
  return node.outputs;
}

/** Records a node with one output. */
export function apply(
  op: string,
  inputs: readonly (Value | null)[],
  shape: readonly number[],
  elementType: ElementType,
  attributes: Attributes = {},
  domain = '',
): Value {
  return record(op, inputs, [{ elementType, shape }], attributes, domain)[0] as Value;
}

export const graphInput = (name: string, elementType: ElementType, shape: readonly number[]): Value => ({
  elementType,
  shape,
  producer: { kind: 'input', name },
});

export const constant = (
  elementType: ElementType,
  shape: readonly number[],
  elements: Elements,
  externalName?: string,
): Value => ({
  elementType,
  shape,
  producer: { kind: 'constant', elements, ...(externalName === undefined ? {} : { externalName }) },
});

/** A constant of one element, shape []. */
export function scalar(elementType: ElementType, value: number): Value {
  return constant(elementType, [], elementsOf(elementType, [value]));
}

/** A constant list of 64-bit integers, as ONNX wants shapes, axes and pads. */
export function int64List(values: readonly number[]): Value {
  return constant('int64', [values.length], BigInt64Array.from(values, BigInt));
}

export function elementsOf(elementType: ElementType, values: ArrayLike<number>): Elements {
  switch (elementType) {
    case 'float32':
      return values instanceof Float32Array ? values : Float32Array.from(values);
    case 'int32':
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case 'int64':
      return BigInt64Array.from(Array.from(values), BigInt);
    case 'bool':
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
    case 'float16':
      throw new Error('constants are recorded in single precision');
  }
}

export interface SerializableGraph {
  readonly message: GraphMessage;
  /** Constants that the model refers to by location and that the caller must provide. */
  readonly external: ReadonlyMap<string, Elements>;
}

/**
 * The graph that the outputs need, in topological order; what they do not need is left out.
 *
 * @param describe turns a recorded shape into a declared one (symbol names in place of their primes, names of their own
 *   for what is computed of symbols: onnxruntime takes sizes of one name for equal).
 */
export function collectGraph(
  name: string,
  inputs: readonly Value[],
  outputs: readonly (readonly [string, Value])[],
  describe: (shape: readonly number[], valueName: string) => readonly (number | string)[],
): SerializableGraph {
  const names = new Map<Value, string>();
  const nodes: NodeMessage[] = [];
  const initializers: InitializerMessage[] = [];
  const external = new Map<string, Elements>();
  const visited = new Set<RecordedNode>();
  const inline = new Map<string, string>();
  // A node makes an output under the output's own name: a copy at the end would stay where others take the value, too.
  const made = new Map<Value, string>();
  for (const [outputName, value] of outputs)
    if (value.producer.kind === 'node' && !made.has(value)) made.set(value, outputName);

  const nameConstant = (value: Value, producer: Constant): string => {
    const { elements, externalName } = producer;
    if (externalName !== undefined) {
      if (!external.has(externalName)) {
        external.set(externalName, elements);
        const content = { location: externalName, byteLength: elements.byteLength };
        initializers.push({
          name: externalName,
          elementType: value.elementType,
          shape: value.shape,
          content,
        });
      }
      return externalName;
    }
    const content = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
    const key = content.length <= MAX_SHARED_BYTES ? `${value.elementType}[${value.shape}]${content}` : null;
    const shared = key === null ? undefined : inline.get(key);
    if (shared !== undefined) return shared;
    const constantName = `c${initializers.length}`;
    if (key !== null) inline.set(key, constantName);
    initializers.push({ name: constantName, elementType: value.elementType, shape: value.shape, content });
    return constantName;
  };

  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const { producer } = value;
    if (producer.kind === 'node') throw new Error('a node was reached before its inputs');
    const found = producer.kind === 'input' ? producer.name : nameConstant(value, producer);
    names.set(value, found);
    return found;
  };

  const emit = (node: RecordedNode): void => {
    const id = nodes.length;
    const outputNames = node.outputs.map((output, i) => {
      const outputName = made.get(output) ?? `v${id}${i === 0 ? '' : `_${i}`}`;
      names.set(output, outputName);
      return outputName;
    });
    nodes.push({
      name: `${node.op}_${id}`,
      op: node.op,
      domain: node.domain,
      inputs: node.inputs.map((input) => (input ? nameOf(input) : '')),
      outputs: outputNames,
      attributes: node.attributes,
    });
  };

  for (const [, output] of outputs) visit(output.producer, visited, emit);
  for (const input of inputs) nameOf(input);
  for (const [outputName, value] of outputs.filter(([name, value]) => made.get(value) !== name))
    nodes.push({
      name: `output_${outputName}`,
      op: 'Identity',
      domain: '',
      inputs: [nameOf(value)],
      outputs: [outputName],
      attributes: {},
    });

  const info = (valueName: string, value: Value): ValueInfoMessage => ({
    name: valueName,
    elementType: value.elementType,
    shape: describe(value.shape, valueName),
  });
  const message: GraphMessage = {
    name,
    nodes,
    initializers,
    inputs: inputs.map((input) => info(nameOf(input), input)),
    outputs: outputs.map(([outputName, value]) => info(outputName, value)),
  };
  return { message, external };
}

/** Equal small constants are written once. */
const MAX_SHARED_BYTES = 64;

/** The nodes that the values need, each after those that it needs itself. */
export function visitNodes(values: readonly Value[]): readonly RecordedNode[] {
  const nodes: RecordedNode[] = [];
  const visited = new Set<RecordedNode>();
  for (const { producer } of values) visit(producer, visited, (node) => nodes.push(node));
  return nodes;
}

/** Depth first without recursion: a traced train step is thousands of nodes deep. */
function visit(start: Producer, visited: Set<RecordedNode>, emit: (node: RecordedNode) => void): void {
  if (start.kind !== 'node' || visited.has(start)) return;
  const stack: { readonly node: RecordedNode; next: number }[] = [{ node: start, next: 0 }];
  visited.add(start);
  while (stack.length > 0) {
    const frame = stack[stack.length - 1] as { readonly node: RecordedNode; next: number };
    const input = frame.node.inputs[frame.next];
    if (frame.next++ < frame.node.inputs.length) {
      const producer = input?.producer;
      if (producer?.kind === 'node' && !visited.has(producer)) {
        visited.add(producer);
        stack.push({ node: producer, next: 0 });
      }
    } else {
      emit(frame.node);
      stack.pop();
    }
  }
}

/** The single value of a constant whose elements are all equal, else null. */
export function uniformElement(value: Value): number | null {
  if (value.producer.kind !== 'constant' || value.producer.externalName !== undefined) return null;
  const { elements } = value.producer;
  if (elements instanceof BigInt64Array || elements.length === 0) return null;
  const first = elements[0] as number;
  for (let i = 1; i < elements.length; i++) if (elements[i] !== first) return null;
  return elements.length === sizeOf(value.shape) || elements.length === 1 ? first : null;
}
