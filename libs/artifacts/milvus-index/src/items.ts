// The port of index engines as this one meets it, by shape: retrieval declares it, and an artifact imports no stage.
import type { Condition, VectorSearchOptions as OptionsWith } from '@online-cnclip/foundation';

export type {
  Attributes,
  AttributeValue,
  Bound,
  Condition,
  IndexSpec,
  SearchHits,
  VectorBatch,
} from '@online-cnclip/foundation';

/** The part of a filter that an engine needs which hands it on. */
export interface ConditionFilter {
  readonly conditions: readonly Condition[];
}

export type VectorSearchOptions = OptionsWith<ConditionFilter>;
