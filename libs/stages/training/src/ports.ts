import type { Collectives } from '@online-cnclip/collectives';
import type { NdArray } from '@online-cnclip/foundation';
import type { Runtime } from '@online-cnclip/runtime';
import type { ImageSource } from './online/image-source.ts';
import type { ReplicaPorts } from './replicas/ports.ts';
import type { CreateTrainStep } from './train-step.ts';

/** A validation split's embeddings, of unit length, rows in the order of their ids. */
export interface RecallRequest {
  readonly galleryIds: readonly string[];
  /** float32 `[gallery, embed]`. */
  readonly galleryFeatures: NdArray<'float32'>;
  /** float32 `[queries, embed]`. */
  readonly queryFeatures: NdArray<'float32'>;
  /** Of each query, the ids of the images that answer it: at least one. */
  readonly relevantIds: readonly (readonly string[])[];
}

/** In percent, 0 to 100. */
export interface Recall {
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
  readonly meanRecall: number;
  readonly queries: number;
  readonly gallery: number;
}

/** What training needs of another stage; the service wires it to retrieval and evaluation. */
export interface RecallPort {
  recall(request: RecallRequest): Promise<Recall>;
}

export interface TrainingPorts {
  readonly runtime: Runtime;
  readonly createTrainStep: CreateTrainStep;
  readonly recall: RecallPort;
  /**
   * The replicas that train this model together; absent: this one alone. Either a group that its owner closes and whose
   * loss ends the run, or where they find each other, at the start and after a loss.
   */
  readonly collectives?: Collectives;
  /** Fetches images with the crawler at `host:port`; absent: online learning has cached ones only. */
  readonly crawledImages?: (address: string) => ImageSource;
  readonly replicas?: ReplicaPorts;
  /** The clock of file names; absent: the system's. */
  readonly now?: () => Date;
}
