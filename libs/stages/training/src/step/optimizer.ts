import { float32, type NdArray } from '@online-cnclip/foundation';
import { adamWProgram, lambApplyProgram, lambUpdateProgram, squareSumProgram } from '@online-cnclip/network';
import type { Executable, RunArray, Runtime } from '@online-cnclip/runtime';
import type { OptimizerOptions } from '../train-step.ts';
import { type Arena, type ArenaLayout, createArena } from './arena.ts';

/** Updates an arena of parameters from an arena of gradients, in place. */
export interface Optimizer {
  readonly expAvg: Arena;
  readonly expAvgSq: Arena;
  /** Updates made so far; set when a state is restored. */
  step: number;
  /**
   * Uses the gradients up: their arena's content is undefined afterwards.
   *
   * @param gradientScale what the arena's content is to be multiplied by to be the gradient
   */
  update(parameters: Arena, gradients: Arena, learningRate: number, gradientScale: number): Promise<void>;
  dispose(): Promise<void>;
}

const scalar = (value: number): NdArray<'float32'> => float32([], Float32Array.of(value));
const scalarOf = (outputs: Readonly<Record<string, NdArray>>, name: string): number =>
  Number(outputs[name]?.data[0]);

export async function createOptimizer(
  runtime: Runtime,
  options: OptimizerOptions,
  layout: ArenaLayout,
): Promise<Optimizer> {
  const arenas = { expAvg: createArena(runtime, layout), expAvgSq: createArena(runtime, layout) };
  return options.kind === 'adamw'
    ? new AdamW(options, arenas, await runtime.prepare(adamWProgram(options)))
    : new Lamb(options, arenas, {
        update: await runtime.prepare(lambUpdateProgram(options)),
        apply: await runtime.prepare(lambApplyProgram()),
        square: await runtime.prepare(squareSumProgram()),
      });
}

interface MomentArenas {
  readonly expAvg: Arena;
  readonly expAvgSq: Arena;
}

/** Inputs that every update shares: the running means and the step's scalars. */
function momentInputs(
  { beta1, beta2 }: OptimizerOptions,
  { expAvg, expAvgSq }: MomentArenas,
  step: number,
  gradientScale: number,
) {
  const scalars = {
    gradient_scale: scalar(gradientScale),
    correction1: scalar(1 - beta1 ** step),
    correction2: scalar(1 - beta2 ** step),
  };
  return (start: number, end: number, parameters: Arena, gradients: Arena, weightDecay: number) => {
    const [g, m, v] = [gradients, expAvg, expAvgSq].map((arena) => arena.pieces(start, end));
    const at = (pieces: readonly RunArray[] | undefined, i: number) => pieces?.[i] as RunArray;
    return parameters.pieces(start, end).map((p, i) => ({
      ...{ p, g: at(g, i), m: at(m, i), v: at(v, i) },
      ...scalars,
      weight_decay: scalar(weightDecay),
    }));
  };
}

class AdamW implements Optimizer {
  readonly expAvg: Arena;
  readonly expAvgSq: Arena;
  step = 0;
  readonly #options: OptimizerOptions;
  readonly #executable: Executable;

  constructor(options: OptimizerOptions, { expAvg, expAvgSq }: MomentArenas, executable: Executable) {
    this.#options = options;
    this.expAvg = expAvg;
    this.expAvgSq = expAvgSq;
    this.#executable = executable;
  }

  async update(
    parameters: Arena,
    gradients: Arena,
    learningRate: number,
    gradientScale: number,
  ): Promise<void> {
    this.step++;
    const inputsOf = momentInputs(this.#options, this, this.step, gradientScale);
    const { decayStart, length } = parameters.layout;
    const pieces = [
      ...inputsOf(0, decayStart, parameters, gradients, 0),
      ...inputsOf(decayStart, length, parameters, gradients, this.#options.weightDecay),
    ];
    await Promise.all(
      pieces.map((inputs) => {
        const outputs = { new_p: inputs.p, new_m: inputs.m, new_v: inputs.v };
        return this.#executable.run({ ...inputs, learning_rate: scalar(learningRate) }, outputs);
      }),
    );
  }

  async dispose(): Promise<void> {
    await this.#executable.dispose();
    for (const arena of [this.expAvg, this.expAvgSq]) arena.dispose();
  }
}

interface LambExecutables {
  readonly update: Executable;
  readonly apply: Executable;
  readonly square: Executable;
}

class Lamb implements Optimizer {
  readonly expAvg: Arena;
  readonly expAvgSq: Arena;
  step = 0;
  readonly #options: OptimizerOptions;
  readonly #executables: LambExecutables;

  constructor(options: OptimizerOptions, { expAvg, expAvgSq }: MomentArenas, executables: LambExecutables) {
    this.#options = options;
    this.expAvg = expAvg;
    this.expAvgSq = expAvgSq;
    this.#executables = executables;
  }

  async update(
    parameters: Arena,
    gradients: Arena,
    learningRate: number,
    gradientScale: number,
  ): Promise<void> {
    this.step++;
    const scale = await this.#clippedScale(gradients, gradientScale);
    const inputsOf = momentInputs(this.#options, this, this.step, scale);
    const { entries, decayStart } = parameters.layout;
    const { weightDecay } = this.#options;
    // The update takes the gradient's place, so that it need not be computed twice.
    const phases = async (start: number, end: number, decay: number) => {
      const pieces = inputsOf(start, end, parameters, gradients, decay);
      const sums = await Promise.all(
        pieces.map((inputs) => {
          const into = { new_m: inputs.m, new_v: inputs.v, update: inputs.g };
          return this.#executables.update.run(inputs, into);
        }),
      );
      const norm = (name: string) =>
        Math.sqrt(sums.reduce((total, outputs) => total + scalarOf(outputs, name), 0));
      const [parameterNorm, updateNorm] = [norm('parameter_square'), norm('update_square')];
      const trust = decay !== 0 && parameterNorm > 0 && updateNorm > 0 ? parameterNorm / updateNorm : 1;
      const rate = scalar(learningRate * trust);
      await Promise.all(
        pieces.map(({ p, g }) => this.#executables.apply.run({ p, update: g, rate }, { new_p: p })),
      );
    };
    if (weightDecay === 0) return phases(0, parameters.layout.length, 0);
    await phases(0, decayStart, 0);
    for (const { start, length } of entries)
      if (start >= decayStart) await phases(start, start + length, weightDecay);
  }

  /** Clips the global norm of all gradients. */
  async #clippedScale(gradients: Arena, gradientScale: number): Promise<number> {
    const { maxGradientNorm } = this.#options;
    if (maxGradientNorm === undefined) return gradientScale;
    const sums = await Promise.all(
      gradients.pieces(0, gradients.layout.length).map((x) => this.#executables.square.run({ x })),
    );
    const square = sums.reduce((total, outputs) => total + scalarOf(outputs, 'square'), 0);
    const norm = Math.sqrt(square) * gradientScale;
    return norm > maxGradientNorm ? (gradientScale * maxGradientNorm) / norm : gradientScale;
  }

  async dispose(): Promise<void> {
    const { update, apply, square } = this.#executables;
    await Promise.all([update.dispose(), apply.dispose(), square.dispose()]);
    for (const arena of [this.expAvg, this.expAvgSq]) arena.dispose();
  }
}
