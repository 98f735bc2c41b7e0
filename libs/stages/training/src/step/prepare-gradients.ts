import { gradientProgram } from '@online-cnclip/network';
import type { Executable } from '@online-cnclip/runtime';
import type { GradientSettings } from './batch-gradients.ts';

/** Which pairs one program is for. */
export interface ProgramPairs {
  /** Pairs that go through the towers. */
  readonly batchSize: number;
  /** Pairs before them whose features are given (default: none). */
  readonly givenPairs?: number;
  /** Whether the program is told what is a pair. */
  readonly masked: boolean;
}

/** The program of loss and gradients that a run's settings ask for. */
export function prepareGradients(
  settings: GradientSettings,
  { masked, ...pairs }: ProgramPairs,
): Promise<Executable> {
  const { config, runtime, loss, freezeVision, replicas, collectives, precision, lossScaled, words } =
    settings;
  const program = gradientProgram({
    config,
    ...pairs,
    loss,
    freezeVision,
    wordRows: words.isByRows,
    ...(masked && { masked }),
    ...(replicas && { replicas }),
    ...(precision && { precision }),
    ...(lossScaled && { lossScaled }),
  });
  const exchanges = replicas?.aggregate || replicas?.syncBatchNorm;
  return runtime.prepare(program, exchanges ? collectives : undefined);
}
