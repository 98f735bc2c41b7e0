import { type NdArray, sizeOf } from '@online-cnclip/foundation';
import type { Program, TracedCollective, TracedStage } from '@online-cnclip/tracer';
import { checkedInput } from './checked-input.ts';
import type { ComputeThread } from './compute-thread-client.ts';
import type { Executable, ReplicaExchange } from './program.ts';
import type { ArrayMessage } from './protocol.ts';
import { allInMemory, writeInto } from './run-arrays.ts';
import { isShared, withoutRest } from './shared-memory.ts';

export interface LoadedStage extends Omit<TracedStage, 'bytes'> {
  /** The compute thread's number for it. */
  readonly session: number;
}

let scopes = 0;

/** A program that was cut where replicas exchange tensors. What one stage keeps for another stays in the compute thread. */
export function stagedExecutable(
  thread: ComputeThread,
  stages: readonly LoadedStage[],
  program: Pick<Program, 'name' | 'inputs'>,
  exchange: ReplicaExchange,
): Executable {
  const lastUses = stages.map(({ inputNames }, i) => {
    const later = new Set(stages.slice(i + 1).flatMap((stage) => stage.inputNames));
    return inputNames.filter((name) => !later.has(name));
  });
  return {
    async run(given, places = {}) {
      const [inputs, into] = [allInMemory(given), allInMemory(places)];
      const values = new Map<string, ArrayMessage>();
      for (const spec of program.inputs)
        values.set(spec.name, {
          name: spec.name,
          ...withoutRest(checkedInput(program.name, spec, inputs[spec.name])),
        });
      const outputs = new Map<string, NdArray>();
      const scope = scopes++;
      try {
        for (const [i, stage] of stages.entries()) {
          const answered = await thread.ask({
            kind: 'run',
            session: stage.session,
            inputs: present(stage.inputNames, values),
            into: sharedOutputs(stage, into),
            scope,
            hold: stage.held,
            drop: lastUses[i] ?? [],
          });
          for (const { name, ...array } of answered) outputs.set(name, array as NdArray);
          for (const collective of stage.collectives)
            values.set(collective.output, await carryOut(collective, outputs, exchange));
        }
      } finally {
        await thread.ask({ kind: 'end-scope', scope });
      }
      writeInto(outputs, into);
      return Object.fromEntries(outputs);
    },
    async dispose() {
      for (const { session } of stages) await thread.ask({ kind: 'release', session });
    },
  };
}

const present = (names: readonly string[], values: ReadonlyMap<string, ArrayMessage>): ArrayMessage[] =>
  names.flatMap((name) => values.get(name) ?? []);

const sharedOutputs = ({ outputNames }: LoadedStage, into: Readonly<Record<string, NdArray>>) =>
  Object.entries(into)
    .filter(([name, array]) => outputNames.includes(name) && isShared(array))
    .map(([name, array]): ArrayMessage => ({ name, ...array }));

async function carryOut(
  { kind, input, output, shape }: TracedCollective,
  outputs: Map<string, NdArray>,
  exchange: ReplicaExchange,
): Promise<ArrayMessage> {
  const sent = outputs.get(input)?.data as Float32Array;
  outputs.delete(input);
  const data = kind === 'all-gather' ? new Float32Array(sizeOf(shape)) : sent;
  if (kind === 'all-gather') await exchange.allGather(sent, data);
  else await exchange.allReduceSum(sent);
  return { name: output, dtype: 'float32', shape, data };
}
