import { DEFAULT_TOP_K, requireBatchSize } from '@online-cnclip/contracts';
import type { RankerServiceService, RankingSource } from '@online-cnclip/contracts/ranker/v1';
import { evaluate, type RankingSource as Rankings, rankingsOfFile } from '@online-cnclip/evaluation';
import { type DataFolder, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import {
  type IndexCatalog,
  type QueryEncoder,
  requireIndexName,
  searchContents,
} from '@online-cnclip/retrieval';
import type { Handlers } from '@online-cnclip/service-kit';
import { rankEnsemble } from './ensemble.ts';
import {
  fromQuery,
  fromRankings,
  toIndexMessage,
  toItemResult,
  toRecallMetrics,
  toSearchResult,
} from './messages.ts';
import { upsertStream } from './upsert-stream.ts';

export interface HandlerOptions {
  readonly catalog: IndexCatalog;
  readonly encoder: QueryEncoder;
  readonly folder: DataFolder;
}

/** RankerService over the catalog of indexes: proto to domain and back, nothing else. */
export function createHandlers({
  catalog,
  encoder,
  folder,
}: HandlerOptions): Handlers<typeof RankerServiceService> {
  return {
    createIndex: async ({ name, dimension: given }, context) => {
      requireIndexName(name, 'name');
      const dimension = given || (await encoder.describeModel(context)).dimension;
      return { index: toIndexMessage(await catalog.create(name, { dimension })) };
    },

    getIndex: async ({ name }) => ({ index: toIndexMessage(catalog.get(requireIndexName(name, 'name'))) }),

    listIndexes: async () => ({ indexes: catalog.list().map(toIndexMessage) }),

    dropIndex: async ({ name }) => ({ items: BigInt(await catalog.drop(requireIndexName(name, 'name'))) }),

    upsertItems: (requests, context) => upsertStream(requests, catalog, encoder, context),

    deleteItems: async ({ index, ids }, context) => {
      requireBatchSize(ids.length, 'ids');
      const deleted = await catalog.get(index).index.delete(ids);
      const results = ids.map((id, position) =>
        toItemResult(
          id,
          deleted[position] ? undefined : new NotFoundError(`there is no item ${id}`),
          context,
        ),
      );
      return { deleted: BigInt(deleted.filter(Boolean).length), results };
    },

    search: async ({ index, queries, topK }, context) => {
      requireBatchSize(queries.length, 'queries');
      const target = catalog.get(index).index;
      const outcomes = await searchContents(
        target,
        queries.map(fromQuery),
        topK || DEFAULT_TOP_K,
        encoder,
        context,
      );
      return { results: outcomes.map((outcome) => toSearchResult(outcome, context)) };
    },

    ensemble: async (request, { signal }) => ({ rankings: await rankEnsemble(request, folder, signal) }),

    evaluate: async ({ reference, predictions }) => {
      // A file has ten items per query as the evaluation script wants it; a small gallery's answers have fewer.
      const allowFewer = predictions?.source?.$case === 'rankings';
      const recall = await evaluate(
        await rankingsOf(reference, 'reference', folder),
        await rankingsOf(predictions, 'predictions', folder),
        { allowFewer },
      );
      return { metrics: toRecallMetrics(recall) };
    },
  };
}

async function rankingsOf(
  source: RankingSource | undefined,
  place: string,
  folder: DataFolder,
): Promise<Rankings> {
  switch (source?.source?.$case) {
    case 'path':
      return rankingsOfFile(await folder.existing(source.source.value, `${place}.path`), source.source.value);
    case 'rankings':
      return fromRankings(source.source.value.rankings, place);
    default:
      throw new InvalidInputError('is empty', { place });
  }
}
