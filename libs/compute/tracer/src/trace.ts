import { InvalidInputError, UnsupportedError } from '@online-cnclip/foundation';
import { type DataType, engine, registerBackend, removeBackend, type Tensor } from '@tensorflow/tfjs-core';
import { TRACER_BACKEND, TracerBackend } from './backend.ts';
import {
  collectGraph,
  constant,
  type Elements,
  graphInput,
  type SerializableGraph,
  type Value,
} from './graph.ts';
import { withHalfProducts } from './half-precision.ts';
import { registerConvolution } from './kernels/convolution.ts';
import { registerElementwise } from './kernels/elementwise.ts';
import { registerIndexing } from './kernels/indexing.ts';
import { registerMatMul } from './kernels/matmul.ts';
import { registerReductions } from './kernels/reductions.ts';
import { registerShapes } from './kernels/shapes.ts';
import { encodeModel, type GraphMessage } from './onnx-format.ts';
import type { Program, TensorSpec } from './program.ts';
import { cutAtCollectives, type GraphStage } from './stages.ts';
import { bindSymbols, describeShape, type SymbolBinding } from './symbols.ts';

export interface TracedModel {
  /** A serialized ONNX ModelProto. */
  readonly bytes: Uint8Array;
  /** Contents of the external data locations that the model names: the program's constants. */
  readonly external: ReadonlyMap<string, Elements>;
  readonly inputs: readonly TensorSpec[];
  readonly outputNames: readonly string[];
  readonly nodeCount: number;
}

/** An exchange between replicas: output `input` of the stage before it becomes input `output` of later ones. */
export interface TracedCollective {
  readonly kind: 'all-gather' | 'all-reduce-sum';
  readonly input: string;
  readonly output: string;
  /** Of what is received. */
  readonly shape: readonly number[];
}

/** A part of a program that runs without the other replicas. */
export interface TracedStage {
  readonly bytes: Uint8Array;
  /** The program's own, held outputs of earlier stages, received tensors. */
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Outputs that are kept for later stages. */
  readonly held: readonly string[];
  /** What is exchanged when the stage has run, in this order on every replica. */
  readonly collectives: readonly TracedCollective[];
}

let kernelsRegistered = false;

/** Makes the tracer known to TFJS. A conformance suite may put a backend of its own under the kernels. */
export function registerTracer(create: () => TracerBackend = () => new TracerBackend()): void {
  if (!kernelsRegistered) {
    registerElementwise();
    registerReductions();
    registerMatMul();
    registerShapes();
    registerIndexing();
    registerConvolution();
    kernelsRegistered = true;
  }
  if (engine().registryFactory[TRACER_BACKEND]) removeBackend(TRACER_BACKEND);
  registerBackend(TRACER_BACKEND, create, TRACER_PRIORITY);
}

/** Below every real backend: the tracer is only ever chosen by name. */
const TRACER_PRIORITY = -1;

/**
 * Records a program as an ONNX model. Synchronous; the TFJS backend of the caller is put back afterwards.
 *
 * @throws UnsupportedError when the program uses a kernel that the tracer lacks, reads a value, or lets a symbolic
 *   size into a constant.
 */
export function trace(program: Program): TracedModel {
  const [{ bytes, graph } = missing(), ...others] = recordChecked(program);
  if (others.length > 0)
    throw new UnsupportedError('exchanges tensors between replicas, which one graph alone cannot', {
      place: program.name,
    });
  return {
    bytes,
    external: graph.external,
    inputs: program.inputs,
    outputNames: graph.message.outputs.map(({ name }) => name),
    nodeCount: graph.message.nodes.length,
  };
}

/**
 * Records a program whose replicas exchange tensors, as a chain of ONNX models with the exchanges between them.
 *
 * @throws UnsupportedError as {@link trace} does, and for a program with constants.
 */
export function traceStages(program: Program): readonly TracedStage[] {
  if (program.constants?.size)
    throw new UnsupportedError('a program of several replicas has no constants', { place: program.name });
  return recordChecked(program).map(({ bytes, graph: { message }, stage }) => ({
    bytes,
    inputNames: message.inputs.map(({ name }) => name),
    outputNames: message.outputs.map(({ name }) => name),
    held: stage.held,
    collectives: stage.collectives,
  }));
}

interface RecordedStage {
  readonly graph: SerializableGraph;
  readonly stage: GraphStage;
}

/** Records with two sets of primes where there are symbols: what differs is a size that became a constant. */
function recordChecked(program: Program): readonly (RecordedStage & { readonly bytes: Uint8Array })[] {
  const hasSymbols = program.inputs.some(({ shape }) => shape.some((size) => typeof size === 'string'));
  const [first, second] = [record(program, 0), hasSymbols ? record(program, 1) : null];
  return first.map(({ graph, stage }, i) => {
    const bytes = encodeModel(graph.message);
    const other = second?.[i]?.graph.message;
    if (other && !Buffer.from(encodeModel(other)).equals(bytes))
      throw new UnsupportedError(
        `a symbolic size became part of a constant${leakSite(graph.message, other)}`,
        { place: program.name },
      );
    return { graph, stage, bytes };
  });
}

function missing(): never {
  throw new Error('a program has at least one stage');
}

/** Where two recordings differ first, for the error's reader: the operator and its place in the graph. */
function leakSite(a: GraphMessage, b: GraphMessage): string {
  const leaked = a.initializers.find(({ content }, i) => {
    const other = b.initializers[i]?.content;
    return !(
      content instanceof Uint8Array &&
      other instanceof Uint8Array &&
      Buffer.from(content).equals(other)
    );
  });
  const node = a.nodes.find(({ inputs, attributes }, i) =>
    leaked
      ? inputs.includes(leaked.name)
      : JSON.stringify(attributes) !== JSON.stringify(b.nodes[i]?.attributes),
  );
  return node ? ` (operand of ${node.name}, ${node.op} of ${node.inputs.join(', ')})` : '';
}

/** Two sets of primes, one prime per symbol, larger than small sizes and smaller than memory allows. */
const PRIMES = [
  [53, 61, 71, 79],
  [59, 67, 73, 83],
] as const;

function record(program: Program, primeSet: 0 | 1): readonly RecordedStage[] {
  registerTracerOnce();
  const tfjs = engine();
  const previous = tfjs.backendName as string | null;
  // For a synchronous backend the promise has nothing to wait for: the switch is done when the call returns.
  void tfjs.setBackend(TRACER_BACKEND);
  tfjs.startScope(program.name);
  try {
    const backend = tfjs.backend as TracerBackend;
    const { values, symbols } = makeInputs(program, primeSet);
    bindSymbols(symbols);
    const tensors = Object.fromEntries(
      [...values, ...makeConstants(program)].map(([name, value]) => {
        const { dataId, shape, dtype } = backend.tensor(value);
        return [name, tfjs.makeTensorFromDataId(dataId, shape as number[], dtype as DataType)];
      }),
    );
    const results = Object.entries(program.build(tensors));
    const outputs = results.map(([name, tensor]): [string, Value] => [
      name,
      backend.operand(tensor as Tensor),
    ]);
    const inputs = values.map(([, value]) => value);
    const isHalf = program.precision === 'half';
    const stages = cutAtCollectives(inputs, isHalf ? withHalfProducts(outputs) : outputs);
    return stages.map((stage) => ({
      stage,
      graph: collectGraph(
        program.name,
        // A program of one stage declares the inputs that it does not use, too.
        stages.length === 1 ? inputs : stage.inputs,
        stage.outputs,
        describeShape,
      ),
    }));
  } catch (error) {
    throw explained(error, program.name);
  } finally {
    bindSymbols([]);
    tfjs.endScope();
    if (previous && previous !== TRACER_BACKEND) void tfjs.setBackend(previous);
  }
}

/** TFJS reports a kernel that is missing as a plain error. */
function explained(error: unknown, place: string): unknown {
  const [, kernel] = /^Kernel '(\w+)' not registered/.exec((error as Error).message ?? '') ?? [];
  if (kernel === undefined) return error;
  return new UnsupportedError(`kernel ${kernel} cannot be traced`, { place, cause: error });
}

function registerTracerOnce(): void {
  if (!engine().registryFactory[TRACER_BACKEND]) registerTracer();
}

function makeInputs(program: Program, primeSet: 0 | 1) {
  const primes = new Map<string, number>();
  const fixed = program.inputs.flatMap(({ shape }) => shape.filter((size) => typeof size === 'number'));
  const free = PRIMES[primeSet].filter((prime) => fixed.every((size) => size === 0 || size % prime !== 0));
  const symbols: SymbolBinding[] = [];
  const values = program.inputs.map(({ name, dtype, shape }): [string, Value] => {
    const sizes = shape.map((size) => {
      if (typeof size === 'number') return size;
      const prime = primes.get(size) ?? free.shift();
      if (prime === undefined)
        throw new InvalidInputError('has too many symbolic sizes', { place: program.name });
      primes.set(size, prime);
      return prime;
    });
    const value = graphInput(name, dtype, sizes);
    shape.forEach((size, axis) => {
      const known = symbols.some((symbol) => symbol.name === size);
      if (typeof size === 'string' && !known)
        symbols.push({ name: size, prime: primes.get(size) as number, input: value, axis });
    });
    return [name, value];
  });
  return { values, symbols };
}

function makeConstants(program: Program): [string, Value][] {
  return [...(program.constants ?? [])].map(([name, { dtype, shape, data }]) => {
    if (dtype !== 'float32')
      throw new InvalidInputError(`constant "${name}" is ${dtype}, not float32`, { place: program.name });
    return [name, constant('float32', shape, data as Float32Array, name)];
  });
}
