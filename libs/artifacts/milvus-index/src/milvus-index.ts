import { setTimeout as sleep } from 'node:timers/promises';
import {
  AlreadyExistsError,
  FailedPreconditionError,
  ResourceExhaustedError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { decodeAttributes, encodeAttributes } from './attributes-json.ts';
import type { CallOptions, MilvusConnection } from './connection.ts';
import { ATTRIBUTES_FIELD, filterExpression, ID_FIELD, idsExpression, VECTOR_FIELD } from './expression.ts';
import type { Attributes, SearchHits, VectorBatch, VectorSearchOptions } from './items.ts';
import type { Consistency } from './options.ts';
import { placeholderGroup } from './placeholder-group.ts';

export interface MilvusIndexOptions {
  readonly name: string;
  readonly collection: string;
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;
  readonly indexType: string;
  readonly consistency: Consistency;
  readonly maxItems: number;
  readonly timeoutMs: number;
}

/** Ids of one expression, which Milvus parses. */
const MAX_IDS_PER_QUERY = 1_024;

/** Queries of one call: with 1,000 neighbours each some 16 MB come back. */
const MAX_QUERIES_PER_CALL = 1_024;

/** Time between two looks at whether a collection is loaded. */
const LOAD_POLL_MS = 50;

/** Of vectors of length 1 the inner product is the cosine. */
const METRIC = 'IP';

type Column<T> = { readonly data?: readonly T[] } | null | undefined;

interface FieldData {
  readonly field_name: string;
  readonly scalars?: { readonly long_data?: Column<string>; readonly json_data?: Column<Buffer> };
}

interface SearchResponse {
  readonly results: {
    readonly scores: readonly number[];
    readonly topks: readonly string[];
    readonly ids: { readonly int_id?: Column<string> } | null;
  } | null;
}

/** One collection of a Milvus server. Changes of this process run one after another, searches beside them. */
export class MilvusIndex {
  readonly name: string;
  readonly dimension: number;
  readonly fingerprint: string | undefined;
  readonly createTime: Date;
  readonly #connection: MilvusConnection;
  readonly #options: MilvusIndexOptions;
  #changes: Promise<unknown> = Promise.resolve();
  #prepared: Promise<void> | undefined;
  /** Items that are there at most; undefined: count them. */
  #sizeAtMost: number | undefined;

  constructor(connection: MilvusConnection, options: MilvusIndexOptions) {
    this.#connection = connection;
    this.#options = options;
    this.name = options.name;
    this.dimension = options.dimension;
    this.fingerprint = options.fingerprint;
    this.createTime = options.createTime;
  }

  async count(): Promise<number> {
    const fields = await this.#query('', ['count(*)']);
    return Number(fields.find(({ field_name: name }) => name === 'count(*)')?.scalars?.long_data?.data?.[0]);
  }

  /** Acknowledged when Milvus has it in its log, which is what it recovers from; segments follow later. */
  upsert({ ids, vectors, attributes }: VectorBatch): Promise<void> {
    return this.#change(async () => {
      if (ids.length === 0) return;
      await this.#requireRoom(ids);
      await this.#whenLoaded(() =>
        this.#connection.call('Upsert', {
          collection_name: this.#options.collection,
          num_rows: ids.length,
          fields_data: [
            {
              type: 'Int64',
              field_name: ID_FIELD,
              scalars: { long_data: { data: Array.from(ids, String) } },
            },
            {
              type: 'FloatVector',
              field_name: VECTOR_FIELD,
              vectors: { dim: this.dimension, float_vector: { data: Array.from(vectors) } },
            },
            {
              type: 'JSON',
              field_name: ATTRIBUTES_FIELD,
              scalars: {
                json_data: {
                  data: Array.from(ids, (_, row) => Buffer.from(encodeAttributes(attributes?.[row] ?? {}))),
                },
              },
            },
          ],
        }),
      );
      this.#sizeAtMost = (this.#sizeAtMost ?? 0) + ids.length;
    });
  }

  /** @returns of each id whether it was there, as far as no other process changes it at the same moment. */
  delete(ids: BigInt64Array): Promise<boolean[]> {
    return this.#change(async () => {
      const there = new Set((await this.#find(ids, [])).keys());
      for (const some of chunks([...there], MAX_IDS_PER_QUERY))
        await this.#connection.call('Delete', {
          collection_name: this.#options.collection,
          expr: idsExpression(some),
        });
      return Array.from(ids, (id) => there.delete(id));
    });
  }

  async attributesOf(ids: BigInt64Array): Promise<(Attributes | undefined)[]> {
    const found = await this.#find(ids, [ATTRIBUTES_FIELD]);
    return Array.from(ids, (id) => found.get(id));
  }

  async search(queries: Float32Array, { topK, filter, signal }: VectorSearchOptions): Promise<SearchHits[]> {
    const expression = filter ? filterExpression(filter.conditions) : '';
    const hits: SearchHits[] = [];
    const step = MAX_QUERIES_PER_CALL * this.dimension;
    for (let from = 0; from < queries.length; from += step) {
      const some = queries.subarray(from, from + step);
      const count = some.length / this.dimension;
      const request = {
        collection_name: this.#options.collection,
        nq: count,
        dsl: expression,
        dsl_type: 'BoolExprV1',
        placeholder_group: placeholderGroup(some, this.dimension),
        output_fields: [ID_FIELD],
        search_params: Object.entries({
          anns_field: VECTOR_FIELD,
          metric_type: METRIC,
          topk: topK,
          params: '{}',
        }).map(([key, value]) => ({ key, value: String(value) })),
        consistency_level: this.#options.consistency,
      };
      const response = await this.#whenLoaded(() =>
        this.#connection.call<SearchResponse>('Search', request, { signal }),
      );
      hits.push(...hitsOf(response, count));
    }
    return hits;
  }

  /** Makes the collection ready for searches: its index, and loaded. Once per process, and again after a server's restart. */
  prepare(): Promise<void> {
    this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  async #prepare(): Promise<void> {
    const { collection, indexType, timeoutMs } = this.#options;
    await this.#connection
      .call('CreateIndex', {
        collection_name: collection,
        field_name: VECTOR_FIELD,
        index_name: VECTOR_FIELD,
        extra_params: Object.entries({ index_type: indexType, metric_type: METRIC, params: '{}' }).map(
          ([key, value]) => ({ key, value }),
        ),
      })
      .catch((error: unknown) => {
        // Some servers only accept an index that is there when it is asked for again.
        if (!(error instanceof AlreadyExistsError)) throw error;
      });
    await this.#connection.call('LoadCollection', { collection_name: collection });
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { state } = await this.#connection.call<{ readonly state: string }>('GetLoadState', {
        collection_name: collection,
      });
      if (state === 'LoadStateLoaded') return;
      if (performance.now() > deadline)
        throw new UnavailableError(`Milvus has not loaded index ${this.name} in ${timeoutMs} ms: ${state}`);
      await sleep(LOAD_POLL_MS);
    }
  }

  /** Another client, or a restart, may have released the collection: then it is loaded and the call made once more. */
  async #whenLoaded<T>(call: () => Promise<T>): Promise<T> {
    await this.prepare();
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof FailedPreconditionError)) throw error;
      this.#prepared = undefined;
      await this.prepare();
      return call();
    }
  }

  /** The attributes of the ids that are there; `{}` where they are not asked for. */
  async #find(
    ids: BigInt64Array,
    outputFields: readonly string[],
    options: CallOptions = {},
  ): Promise<Map<bigint, Attributes>> {
    const found = new Map<bigint, Attributes>();
    for (const some of chunks([...new Set(ids)], MAX_IDS_PER_QUERY)) {
      const fields = await this.#query(idsExpression(some), [ID_FIELD, ...outputFields], options);
      const column = (name: string) => fields.find(({ field_name: field }) => field === name)?.scalars;
      const attributes = column(ATTRIBUTES_FIELD)?.json_data?.data;
      for (const [row, id] of (column(ID_FIELD)?.long_data?.data ?? []).entries()) {
        const json = attributes?.[row];
        found.set(BigInt(id), json ? decodeAttributes(json.toString(), `item ${id}`) : {});
      }
    }
    return found;
  }

  /** Always of this moment: what is asked for here decides on changes. */
  async #query(
    expression: string,
    outputFields: readonly string[],
    options: CallOptions = {},
  ): Promise<readonly FieldData[]> {
    const { fields_data: fields } = await this.#whenLoaded(() =>
      this.#connection.call<{ readonly fields_data: readonly FieldData[] }>(
        'Query',
        {
          collection_name: this.#options.collection,
          expr: expression,
          output_fields: outputFields,
          consistency_level: 'Strong',
        },
        options,
      ),
    );
    return fields;
  }

  /** Counts only when the limit is near: until then no more can be there than was counted and has been added since. */
  async #requireRoom(ids: BigInt64Array): Promise<void> {
    const { maxItems } = this.#options;
    if (this.#sizeAtMost !== undefined && this.#sizeAtMost + ids.length <= maxItems) return;
    const size = await this.count();
    this.#sizeAtMost = size;
    if (size + ids.length <= maxItems) return;
    const added = ids.length - (await this.#find(ids, [])).size;
    if (size + added > maxItems)
      throw new ResourceExhaustedError(
        `${added} more items do not fit: the index holds ${size} of at most ${maxItems}`,
      );
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#changes.then(work);
    this.#changes = running.catch(() => {}); // Heard by its caller; the next change goes ahead.
    return running;
  }
}

function hitsOf({ results }: SearchResponse, queries: number): SearchHits[] {
  const ids = results?.ids?.int_id?.data ?? [];
  let from = 0;
  return Array.from({ length: queries }, (_, query) => {
    const to = from + Number(results?.topks[query] ?? 0);
    const hits = {
      ids: BigInt64Array.from(ids.slice(from, to), BigInt),
      scores: Float32Array.from(results?.scores.slice(from, to) ?? []),
    };
    from = to;
    return hits;
  });
}

function* chunks<T>(values: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < values.length; from += size) yield values.slice(from, from + size);
}
