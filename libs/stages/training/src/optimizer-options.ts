import type { OptimizerKind, OptimizerOptions } from './train-step.ts';

/** LAMB clips the global gradient norm, as apex' FusedLAMB does by default; AdamW does not. */
const LAMB_MAX_GRADIENT_NORM = 1;

export interface OptimizerChoice {
  readonly optimizer: OptimizerKind;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly wd: number;
}

export function optimizerOptionsOf(options: OptimizerChoice): OptimizerOptions {
  const { optimizer: kind, beta1, beta2, eps, wd: weightDecay } = options;
  const optimizer = { kind, beta1, beta2, eps, weightDecay };
  return kind === 'lamb' ? { ...optimizer, maxGradientNorm: LAMB_MAX_GRADIENT_NORM } : optimizer;
}
