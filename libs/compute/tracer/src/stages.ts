// Cuts a recorded graph where replicas exchange tensors. ONNX has no operator that waits for another process: the
// graph becomes a chain of graphs, each of which runs up to the next exchange.
import { apply, graphInput, type RecordedNode, record, type Value, visitNodes } from './graph.ts';
import type { TracedCollective } from './trace.ts';

/** Domain of the nodes that are exchanges; no such node reaches a serialized graph. */
export const COLLECTIVE_DOMAIN = 'online-cnclip.collective';

/** Cheaper to compute again behind a cut than to be carried across it, where their own inputs are there. */
const CHEAP = new Set(['Cast', 'Concat', 'Expand', 'Mul', 'Reshape', 'Shape', 'Slice', 'Transpose']);
/** Of these, the ones that are cheap for sizes only: on tensors they are work. */
const CHEAP_FOR_SIZES = new Set(['Concat', 'Mul']);

export interface GraphStage {
  readonly inputs: readonly Value[];
  readonly outputs: readonly (readonly [string, Value])[];
  /** Outputs that later stages take, under the same names. */
  readonly held: readonly string[];
  readonly collectives: readonly TracedCollective[];
}

const isCollective = (node: RecordedNode): boolean => node.domain === COLLECTIVE_DOMAIN;

/** The graph that the outputs need, as stages with exchanges between them; one stage where it has none. */
export function cutAtCollectives(
  inputs: readonly Value[],
  outputs: readonly (readonly [string, Value])[],
): readonly GraphStage[] {
  const nodes = visitNodes(outputs.map(([, value]) => value));
  if (!nodes.some(isCollective)) return [{ inputs, outputs, held: [], collectives: [] }];
  return new Cut(nodes, outputs).stages(inputs);
}

class Cut {
  readonly #nodes: readonly RecordedNode[];
  readonly #outputs: readonly (readonly [string, Value])[];
  readonly #last: number;
  /** Where each node is computed. Of an exchange: the stage before it. */
  readonly #stageOf: ReadonlyMap<RecordedNode, number>;
  readonly #builders: StageBuilder[];

  constructor(nodes: readonly RecordedNode[], outputs: readonly (readonly [string, Value])[]) {
    this.#nodes = nodes;
    this.#outputs = outputs;
    const levels = levelsOf(nodes);
    this.#last = Math.max(
      0,
      ...outputs.map(([, { producer }]) => (producer.kind === 'node' ? available(producer, levels) : 0)),
    );
    this.#stageOf = asLateAsNeeded(nodes, outputs, levels, this.#last);
    this.#builders = Array.from({ length: this.#last + 1 }, () => new StageBuilder());
  }

  stages(inputs: readonly Value[]): readonly GraphStage[] {
    const names = new Map<Value, string>();
    for (const node of this.#nodes) {
      const stage = this.#stageOf.get(node) as number;
      const builder = this.#builders[stage] as StageBuilder;
      if (isCollective(node)) {
        const id = names.size;
        const [input, output] = [`sent:${id}`, `received:${id}`];
        names.set(node.outputs[0] as Value, output);
        builder.collectives.push({ kind: kindOf(node), input, output, shape: shapeOf(node) });
        builder.outputs.push([input, this.#at(node.inputs[0] as Value, stage, names)]);
      } else builder.copy(node, (value) => this.#at(value, stage, names));
    }
    for (const [name, value] of this.#outputs) {
      const stage = this.#last;
      (this.#builders[stage] as StageBuilder).outputs.push([name, this.#at(value, stage, names)]);
    }
    return this.#builders.map((builder) => builder.finish(inputs));
  }

  /** A value as a stage sees it: computed there, received from an exchange, or held from an earlier stage. */
  #at(value: Value, stage: number, names: Map<Value, string>): Value {
    const { producer } = value;
    if (producer.kind !== 'node') return value;
    const builder = this.#builders[stage] as StageBuilder;
    const known = builder.known.get(value);
    if (known) return known;
    const from = this.#stageOf.get(producer) as number;
    const found =
      !isCollective(producer) && isCheap(producer)
        ? this.#again(value, producer, stage, names)
        : this.#held(value, from, names, stage);
    builder.known.set(value, found);
    return found;
  }

  #again(value: Value, producer: RecordedNode, stage: number, names: Map<Value, string>): Value {
    const operands = producer.inputs.map((input) => input && this.#at(input, stage, names));
    return apply(producer.op, operands, value.shape, value.elementType, producer.attributes, producer.domain);
  }

  #held(value: Value, from: number, names: Map<Value, string>, stage: number): Value {
    let name = names.get(value);
    if (name === undefined) {
      name = `held:${names.size}`;
      names.set(value, name);
      const source = this.#builders[from] as StageBuilder;
      source.outputs.push([name, this.#at(value, from, names)]);
      source.held.push(name);
    }
    const input = graphInput(name, value.elementType, value.shape);
    (this.#builders[stage] as StageBuilder).inputs.push(input);
    return input;
  }
}

class StageBuilder {
  readonly known = new Map<Value, Value>();
  readonly inputs: Value[] = [];
  readonly outputs: (readonly [string, Value])[] = [];
  readonly held: string[] = [];
  readonly collectives: TracedCollective[] = [];

  copy(node: RecordedNode, at: (value: Value) => Value): void {
    const operands = node.inputs.map((input) => input && at(input));
    const copies = record(node.op, operands, node.outputs, node.attributes, node.domain);
    node.outputs.forEach((output, i) => {
      this.known.set(output, copies[i] as Value);
    });
  }

  /** With those of the program's inputs that this stage needs. */
  finish(inputs: readonly Value[]): GraphStage {
    const used = new Set<Value>(this.outputs.map(([, value]) => value));
    for (const node of visitNodes(this.outputs.map(([, value]) => value)))
      for (const operand of node.inputs) if (operand) used.add(operand);
    const { outputs, held, collectives } = this;
    return {
      inputs: [...inputs, ...this.inputs].filter((input) => used.has(input)),
      outputs,
      held,
      collectives,
    };
  }
}

/** How many exchanges each node has to wait for. */
function levelsOf(nodes: readonly RecordedNode[]): ReadonlyMap<RecordedNode, number> {
  const levels = new Map<RecordedNode, number>();
  for (const node of nodes) {
    let level = 0;
    for (const input of node.inputs)
      if (input?.producer.kind === 'node') level = Math.max(level, available(input.producer, levels));
    levels.set(node, level);
  }
  return levels;
}

const available = (node: RecordedNode, levels: ReadonlyMap<RecordedNode, number>): number =>
  (levels.get(node) as number) + (isCollective(node) ? 1 : 0);

/**
 * Each node in the first stage that uses it, not in the first where it could run: what only the backward pass needs,
 * such as an activation computed again, is then not carried through the stages before.
 */
function asLateAsNeeded(
  nodes: readonly RecordedNode[],
  outputs: readonly (readonly [string, Value])[],
  levels: ReadonlyMap<RecordedNode, number>,
  last: number,
): ReadonlyMap<RecordedNode, number> {
  const needed = new Map<RecordedNode, number>();
  const need = (value: Value | null, stage: number) => {
    if (value?.producer.kind !== 'node') return;
    needed.set(value.producer, Math.min(stage, needed.get(value.producer) ?? last));
  };
  for (const [, value] of outputs) need(value, last);
  for (const node of nodes.toReversed()) {
    // An exchange takes place as soon as it can: the stages behind it wait for it.
    const stage = isCollective(node) ? (levels.get(node) as number) : (needed.get(node) as number);
    needed.set(node, stage);
    for (const input of node.inputs) need(input, stage);
  }
  return needed;
}

function isCheap({ op, domain, inputs, outputs }: RecordedNode): boolean {
  // The binding carries no half precision between graphs.
  if (inputs[0]?.elementType === 'float16' && outputs[0]?.elementType !== 'float16') return false;
  if (domain !== '' || !CHEAP.has(op) || outputs.length !== 1) return false;
  return !CHEAP_FOR_SIZES.has(op) || outputs[0]?.elementType === 'int64';
}

const kindOf = ({ op }: RecordedNode): TracedCollective['kind'] =>
  op === 'AllGather' ? 'all-gather' : 'all-reduce-sum';

const shapeOf = ({ outputs }: RecordedNode): readonly number[] => outputs[0]?.shape ?? [];
