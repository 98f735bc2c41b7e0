import { join } from 'node:path';
import type { Logger } from '@online-cnclip/foundation';
import { ApproximateIndex } from './approximate-index.ts';
import { DEFAULT_GRAPH_OPTIONS, type GraphOptions } from './graph/graph-options.ts';
import { GraphFolder } from './graph-folder.ts';
import { GraphKeeper } from './graph-keeper.ts';
import type { IndexSpec, PlainEngine, SourceIndex } from './source.ts';

export interface ApproximateEngineOptions extends Omit<GraphOptions, 'dimension' | 'threads'> {
  /** Cores of one call of a graph; default: all. */
  readonly threads?: number;
  /** Where the graphs are kept, a folder each. */
  readonly folder: string;
  /** Items from which on an index has a graph. */
  readonly minItems: number;
  /** Whether saved graphs are mapped into memory instead of loaded, until their next change. */
  readonly memoryMapped: boolean;
  readonly logger: Logger;
}

export const DEFAULT_APPROXIMATE_OPTIONS = {
  ...DEFAULT_GRAPH_OPTIONS,
  /** Some milliseconds for a query that is compared with every item. */
  minItems: 20_000,
  memoryMapped: false,
} as const;

interface Kept<Filter> {
  readonly index: ApproximateIndex<Filter>;
  readonly graph: GraphKeeper<Filter>;
}

/** The indexes of another engine, which is durable and exact, each with a graph beside it. */
export class ApproximateEngine<Filter> implements PlainEngine<ApproximateIndex<Filter>> {
  readonly #source: PlainEngine<SourceIndex<Filter>>;
  readonly #options: ApproximateEngineOptions;
  readonly #kept = new Map<SourceIndex<Filter>, Kept<Filter>>();

  /** @param source is closed with this engine. */
  constructor(source: PlainEngine<SourceIndex<Filter>>, options: ApproximateEngineOptions) {
    this.#source = source;
    this.#options = options;
  }

  async create(spec: IndexSpec): Promise<ApproximateIndex<Filter>> {
    return this.#keep(await this.#source.create(spec));
  }

  async open(nameOrAlias: string): Promise<ApproximateIndex<Filter>> {
    return this.#keep(await this.#source.open(nameOrAlias));
  }

  async list(): Promise<readonly ApproximateIndex<Filter>[]> {
    return (await this.#source.list()).map((source) => this.#keep(source));
  }

  async drop(name: string): Promise<void> {
    await this.#source.drop(name);
    for (const [source, { graph }] of this.#kept) {
      if (source.name !== name) continue;
      this.#kept.delete(source);
      await graph.discard();
    }
  }

  setAlias(alias: string, name: string): Promise<string | undefined> {
    return this.#source.setAlias(alias, name);
  }

  removeAlias(alias: string): Promise<void> {
    return this.#source.removeAlias(alias);
  }

  aliases(): Promise<ReadonlyMap<string, string>> {
    return this.#source.aliases();
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#kept.values(), ({ graph }) => graph.close()));
    this.#kept.clear();
    await this.#source.close();
  }

  #keep(source: SourceIndex<Filter>): ApproximateIndex<Filter> {
    const known = this.#kept.get(source);
    if (known) return known.index;
    const threads = Math.min(
      this.#options.threads ?? DEFAULT_GRAPH_OPTIONS.threads,
      DEFAULT_GRAPH_OPTIONS.threads,
    );
    const options = { ...this.#options, threads, dimension: source.dimension };
    const folder = new GraphFolder(join(this.#options.folder, source.name), options, source.createTime);
    const graph = new GraphKeeper(source, folder, options, this.#options.logger);
    const index = new ApproximateIndex(source, graph);
    this.#kept.set(source, { index, graph });
    graph.start();
    return index;
  }
}
