import { bestRows, EventLoopTurns, packQueries, passes, VectorTable } from '@online-cnclip/embedding-index';
import { InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import { PREDICTED_ITEMS, type Recall, rankOfFirst, recallOfRanks } from './recall.ts';

/** Embeddings of a gallery and of queries, rows in the order of their ids. */
export interface FeatureRecallRequest<Id> {
  readonly galleryIds: readonly Id[];
  /** float32 `[gallery, embed]`, of any length but zero. */
  readonly galleryFeatures: NdArray<'float32'>;
  /** float32 `[queries, embed]`. */
  readonly queryFeatures: NdArray<'float32'>;
  /** Of each query, the ids that answer it. */
  readonly relevantIds: readonly (readonly Id[])[];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Recall of an exact cosine ranking of the whole gallery.
 *
 * @throws InvalidInputError when rows and ids do not match in number, a row has no direction, or there is no query.
 */
export async function recallFromFeatures<Id>(request: FeatureRecallRequest<Id>): Promise<Recall> {
  const { galleryIds, galleryFeatures, queryFeatures, relevantIds, signal } = request;
  const gallery = tableOf(galleryFeatures, galleryIds.length);
  const queries = rowsOf(queryFeatures, relevantIds.length, 'queryFeatures');
  const turns = new EventLoopTurns(signal);
  const ranks: (number | undefined)[] = [];
  for (const pass of passes(queries)) {
    const packed = packQueries(gallery, pass, (index) => `queryFeatures[${ranks.length + index}]`);
    const best = await bestRows(gallery, packed, PREDICTED_ITEMS, { turns });
    for (const { rows } of best) {
      const ranking = rows.map((row) => galleryIds[row] as Id);
      ranks.push(rankOfFirst(ranking, relevantIds[ranks.length] as readonly Id[]));
    }
  }
  return recallOfRanks(ranks, galleryIds.length);
}

function tableOf(features: NdArray<'float32'>, count: number): VectorTable {
  const rows = rowsOf(features, count, 'galleryFeatures');
  const table = new VectorTable(features.shape[1] as number);
  for (const [row, feature] of rows.entries()) table.append(feature, `galleryFeatures[${row}]`);
  return table;
}

function rowsOf({ shape, data }: NdArray<'float32'>, count: number, place: string): Float32Array[] {
  const [rows, width] = shape;
  if (shape.length !== 2 || rows !== count || width === undefined)
    throw new InvalidInputError(`has the shape [${shape}] for ${count} ids`, { place });
  return Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width));
}
