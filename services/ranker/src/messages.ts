import { fromVector } from '@online-cnclip/contracts';
import type { RecallMetrics } from '@online-cnclip/contracts/common/v1';
import type {
  Index,
  Item,
  ItemResult,
  Query,
  Ranking,
  SearchResult,
  StoredItem,
} from '@online-cnclip/contracts/ranker/v1';
import type { RankingSource as Rankings, Recall } from '@online-cnclip/evaluation';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import {
  type Attributes,
  type Content,
  type IndexItem,
  type Outcome,
  outcomeOf,
  type SearchHits,
  type VectorIndex,
} from '@online-cnclip/retrieval';
import { type CallContext, itemStatus } from '@online-cnclip/service-kit';
import { fromAttributes, toAttributes } from './attributes.ts';

/** @param aliases index by alias. */
export const toIndexMessage = async (
  index: VectorIndex,
  aliases: ReadonlyMap<string, string>,
): Promise<Index> => ({
  name: index.name,
  dimension: index.dimension,
  items: BigInt(await index.count()),
  modelFingerprint: index.fingerprint ?? '',
  createTime: index.createTime,
  aliases: [...aliases].flatMap(([alias, name]) => (name === index.name ? [alias] : [])),
});

export function fromQuery({ query }: Query, position: number): Content {
  return contentOf(query, `queries[${position}]`);
}

export function fromItem({ id, content, attributes }: Item): IndexItem {
  const read = outcomeOf(() => fromAttributes(attributes, `item ${id}`));
  if (!read.ok) return { id, content: { kind: 'unusable', error: read.error } };
  return { id, content: contentOf(content, `item ${id}`), attributes: read.value };
}

/** Never throws: what cannot be read fails alone. */
function contentOf(content: Query['query'] | Item['content'], place: string): Content {
  switch (content?.$case) {
    case 'text':
      return { kind: 'text', text: content.value };
    case 'image':
      return { kind: 'image', image: content.value };
    case 'vector': {
      const vector = outcomeOf(() => fromVector(content.value, place));
      return vector.ok ? { kind: 'vector', vector: vector.value } : { kind: 'unusable', error: vector.error };
    }
    default:
      return { kind: 'unusable', error: new InvalidInputError('is empty', { place }) };
  }
}

export function toSearchResult(outcome: Outcome<SearchHits>, context: CallContext): SearchResult {
  if (!outcome.ok) return { status: itemStatus(outcome.error, context), ids: [], scores: [] };
  const { ids, scores } = outcome.value;
  return { status: itemStatus(undefined, context), ids: Array.from(ids), scores: Array.from(scores) };
}

export const toItemResult = (id: bigint, error: Error | undefined, context: CallContext): ItemResult => ({
  id,
  status: itemStatus(error, context),
});

export const missingItem = (id: bigint): NotFoundError => new NotFoundError(`there is no item ${id}`);

export const toStoredItem = (
  id: bigint,
  attributes: Attributes | undefined,
  context: CallContext,
): StoredItem => ({
  id,
  status: itemStatus(attributes ? undefined : missingItem(id), context),
  attributes: toAttributes(attributes ?? {}),
});

/** @param place the field that holds them. */
export const fromRankings = (rankings: readonly Ranking[], place: string): Rankings => ({
  place,
  rankings: rankings.map(({ queryId, itemIds }, position) => ({
    queryId,
    itemIds,
    place: `${place}.rankings[${position}]`,
  })),
});

export const toRecallMetrics = (recall: Recall): RecallMetrics => ({
  recallAt1: recall.recallAt1,
  recallAt5: recall.recallAt5,
  recallAt10: recall.recallAt10,
  meanRecall: recall.meanRecall,
  queries: BigInt(recall.queries),
  gallery: BigInt(recall.gallery),
});
