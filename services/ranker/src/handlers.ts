import { DEFAULT_TOP_K, requireBatchSize } from '@online-cnclip/contracts';
import type { RankerServiceService, RankingSource } from '@online-cnclip/contracts/ranker/v1';
import { evaluate, type RankingSource as Rankings, rankingsOfFile } from '@online-cnclip/evaluation';
import { type DataFolder, FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import {
  type IndexCatalog,
  type QueryEncoder,
  requireIndexName,
  searchContents,
} from '@online-cnclip/retrieval';
import type { Handlers } from '@online-cnclip/service-kit';
import { fromFilter } from './attributes.ts';
import { rankEnsemble } from './ensemble.ts';
import {
  fromQuery,
  fromRankings,
  missingItem,
  toIndexMessage,
  toItemResult,
  toRecallMetrics,
  toSearchResult,
  toStoredItem,
} from './messages.ts';
import { upsertStream } from './upsert-stream.ts';

export interface HandlerOptions {
  readonly catalog: IndexCatalog;
  readonly encoder: QueryEncoder;
  readonly folder: DataFolder;
}

/** A new index has none. */
const NO_ALIASES: ReadonlyMap<string, string> = new Map();

/** RankerService over the catalog of indexes: proto to domain and back, nothing else. */
export function createHandlers({
  catalog,
  encoder,
  folder,
}: HandlerOptions): Handlers<typeof RankerServiceService> {
  return {
    createIndex: async ({ name, dimension, modelFingerprint }, context) => {
      requireIndexName(name, 'name');
      const model = dimension === 0 ? await encoder.describeModel(context) : undefined;
      if (model && modelFingerprint !== '' && modelFingerprint !== model.fingerprint)
        throw new FailedPreconditionError(
          `the encoder's model is ${model.fingerprint} and not ${modelFingerprint}: a dimension is needed, too`,
        );
      const fingerprint = modelFingerprint || model?.fingerprint;
      const index = await catalog.create({ name, dimension: model?.dimension ?? dimension, fingerprint });
      return { index: await toIndexMessage(index, NO_ALIASES) };
    },

    getIndex: async ({ name }) => ({
      index: await toIndexMessage(await catalog.get(requireIndexName(name, 'name')), await catalog.aliases()),
    }),

    listIndexes: async () => {
      const aliases = await catalog.aliases();
      const indexes = await catalog.list();
      return { indexes: await Promise.all(indexes.map((index) => toIndexMessage(index, aliases))) };
    },

    dropIndex: async ({ name }) => ({ items: BigInt(await catalog.drop(requireIndexName(name, 'name'))) }),

    upsertItems: (requests, context) => upsertStream(requests, catalog, encoder, context),

    deleteItems: async ({ index, ids }, context) => {
      requireBatchSize(ids.length, 'ids');
      const deleted = await (await catalog.get(index)).delete(BigInt64Array.from(ids));
      const results = ids.map((id, position) =>
        toItemResult(id, deleted[position] ? undefined : missingItem(id), context),
      );
      return { deleted: BigInt(deleted.filter(Boolean).length), results };
    },

    getItems: async ({ index, ids }, context) => {
      requireBatchSize(ids.length, 'ids');
      const asked = await catalog.get(index);
      const found = await asked.attributesOf(BigInt64Array.from(ids));
      return { items: ids.map((id, i) => toStoredItem(id, found[i], context)), index: asked.name };
    },

    setAlias: async ({ alias, index }) => ({ previousIndex: (await catalog.setAlias(alias, index)) ?? '' }),

    listAliases: async () => ({
      aliases: [...(await catalog.aliases())].map(([name, index]) => ({ name, index })),
    }),

    dropAlias: async ({ alias }) => {
      await catalog.removeAlias(alias);
      return {};
    },

    search: async ({ index, queries, topK, filter, modelFingerprint }, context) => {
      requireBatchSize(queries.length, 'queries');
      const searched = await catalog.get(index);
      const outcomes = await searchContents(searched, queries.map(fromQuery), encoder, {
        ...context,
        topK: topK || DEFAULT_TOP_K,
        filter: fromFilter(filter),
        vectorFingerprint: modelFingerprint || undefined,
      });
      return { results: outcomes.map((outcome) => toSearchResult(outcome, context)), index: searched.name };
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
