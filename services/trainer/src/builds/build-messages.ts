import type { BuildProgress, BuiltSplit } from '@online-cnclip/dataset';
import type { FailureReport } from '../training/messages.ts';

export interface BuildRequest {
  readonly dataDir: string;
  readonly splits: readonly string[];
  readonly lmdbDir: string | undefined;
}

/** What a build's process is told. */
export type BuildOrder =
  | { readonly kind: 'build'; readonly request: BuildRequest }
  | { readonly kind: 'cancel' };

/** What it tells. */
export type BuildReport =
  | { readonly kind: 'progress'; readonly progress: BuildProgress }
  | { readonly kind: 'split'; readonly split: BuiltSplit }
  | { readonly kind: 'finished' }
  | { readonly kind: 'failed'; readonly error: FailureReport };
