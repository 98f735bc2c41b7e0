// The port of index engines as this one meets it, by shape: retrieval declares it, and an artifact imports no stage.
import type { Attributes, VectorSearchOptions as OptionsWith } from '@online-cnclip/foundation';

export type {
  Attributes,
  AttributeValue,
  IndexSpec,
  SearchHits,
  VectorBatch,
} from '@online-cnclip/foundation';

/** The part of a filter that an engine needs which holds the attributes itself. */
export interface AttributeFilter {
  matches(attributes: Attributes): boolean;
}

export type VectorSearchOptions = OptionsWith<AttributeFilter>;
