import type { DType } from '@online-cnclip/foundation';
import type { Elements } from '@online-cnclip/tracer';

/** What the compute thread and its owner say to each other. */
export interface ArrayMessage {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Elements;
}

/** What the thread is started with. */
export interface ThreadData {
  readonly niceness: number;
}

export type Request =
  | {
      readonly kind: 'prepare';
      readonly id: number;
      readonly session: number;
      readonly model: Uint8Array;
      readonly external: readonly { readonly path: string; readonly data: Elements }[];
      readonly threads: number;
      readonly arena: boolean;
      readonly device: 'cpu' | 'cuda';
      readonly profilePrefix?: string;
    }
  | {
      readonly kind: 'run';
      readonly id: number;
      readonly session: number;
      readonly inputs: readonly ArrayMessage[];
      readonly into: readonly ArrayMessage[];
      /** Of a run in stages: where outputs are kept for its later stages instead of being answered. */
      readonly scope?: number;
      readonly hold?: readonly string[];
      /** Held outputs that no later stage takes. */
      readonly drop?: readonly string[];
    }
  /** Gives back whatever a run in stages still holds. */
  | { readonly kind: 'end-scope'; readonly id: number; readonly scope: number }
  | { readonly kind: 'release'; readonly id: number; readonly session: number };

export interface Response {
  readonly id: number;
  readonly outputs?: readonly ArrayMessage[];
  readonly error?: string;
}
