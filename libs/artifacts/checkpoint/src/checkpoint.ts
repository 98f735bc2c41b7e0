import type { NamedArrays } from '@online-cnclip/foundation';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Precision that the parameters have in the file; in memory they are always float32. */
export type Precision = 'fp32' | 'fp16' | 'bf16';

export type CheckpointFormat = 'torch-zip' | 'torch-legacy' | 'safetensors' | 'huggingface';

export type OptimizerKind = 'adamw' | 'lamb';

/** The options of the group with weight decay; the other group differs in its decay of 0 only. */
export interface OptimizerSettings {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** LAMB's clip of the global gradient norm. */
  readonly maxGradientNorm?: number | undefined;
}

/** Moments by parameter name (without `module.`); frozen parameters have none. */
export interface OptimizerState {
  readonly kind?: OptimizerKind | undefined;
  /** Updates done so far. */
  readonly step: number;
  readonly expAvg: NamedArrays;
  readonly expAvgSq: NamedArrays;
  readonly settings?: OptimizerSettings | undefined;
}

/** What a checkpoint file holds, with Chinese-CLIP's parameter names in torch's layout. */
export interface Checkpoint {
  readonly epoch?: number | undefined;
  readonly step?: number | undefined;
  readonly name?: string | undefined;
  /** Parameters and buffers, in the order of torch's named_parameters(). */
  readonly parameters: NamedArrays;
  readonly optimizer?: OptimizerState | undefined;
  /** Bookkeeping of this project's trainer (random state, position in the data, ...). */
  readonly extra?: Readonly<Record<string, Json>> | undefined;
}

export interface StoredCheckpoint extends Checkpoint {
  readonly format: CheckpointFormat;
  readonly precision: Precision;
}
