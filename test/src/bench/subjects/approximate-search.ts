// The approximate engine beside the exact one, which it stands on: one query at a time for its ten nearest among 100,000 vectors
// of 512 numbers. `rate`: its queries per second; `ratio`: that by the exact engine's, measured in turn; `recall`: the share of
// the true ten that it finds. BENCH_ITEMS, BENCH_PRECISION, BENCH_DATA=spread (vectors without clusters) for others.
import { join } from 'node:path';
import {
  ApproximateEngine,
  type ApproximateIndex,
  DEFAULT_APPROXIMATE_OPTIONS,
  GRAPH_PRECISIONS,
  type GraphPrecision,
} from '@online-cnclip/approximate-index';
import { type AttributeFilter, ExactEngine } from '@online-cnclip/embedding-index';
import { createLogger } from '@online-cnclip/foundation';
import { folder, rateOf, serve, threads } from '../serve.ts';
import { type Distribution, embeddings } from '../work/embeddings.ts';

const DIMENSION = 512;
const TOP_K = 10;
const QUERIES = 500;
const BATCH = 1_000;
const SEED = 7;
const items = Number(process.env['BENCH_ITEMS'] ?? 100_000);
const precision = GRAPH_PRECISIONS.find((name) => name === process.env['BENCH_PRECISION']);
const [what = 'rate'] = process.argv.slice(2);

const logger = createLogger('bench', 'info');
const distribution: Distribution = process.env['BENCH_DATA'] === 'spread' ? 'spread' : 'clustered';
const store = join(folder, `approximate-${items}-${distribution}`);
const source = await ExactEngine.open({ folder: join(store, 'indexes'), maxItems: items, threads, logger });
const options: { readonly precision?: GraphPrecision } = precision ? { precision } : {};
const engine = new ApproximateEngine<AttributeFilter>(source, {
  ...DEFAULT_APPROXIMATE_OPTIONS,
  ...options,
  threads,
  folder: join(store, `graphs-${precision ?? DEFAULT_APPROXIMATE_OPTIONS.precision}`),
  logger,
});

const next = embeddings({ count: items, distribution }, DIMENSION, SEED);
const packed = (count: number): Float32Array => {
  const vectors = new Float32Array(count * DIMENSION);
  for (let row = 0; row < count; row++) vectors.set(next(), row * DIMENSION);
  return vectors;
};
const queries = packed(QUERIES);
const started = performance.now();
const index = await openFilled();
const upserted = performance.now();
await index.whenPlaced();
const seconds = (from: number, to: number): string => ((to - from) / 1000).toFixed(1);
console.error(
  `${items} items upserted in ${seconds(started, upserted)} s, the graph ready ${seconds(upserted, performance.now())} s later`,
);
if (!index.isApproximate) throw new Error('the graph does not answer');

/** That of an earlier run where it is whole. */
async function openFilled(): Promise<ApproximateIndex<AttributeFilter>> {
  for (const found of await engine.list()) if ((await found.count()) !== items) await engine.drop(found.name);
  const [there] = await engine.list();
  if (there) return there;
  const made = await engine.create({ name: 'bench', dimension: DIMENSION });
  for (let from = 0; from < items; from += BATCH) {
    const ids = BigInt64Array.from({ length: Math.min(BATCH, items - from) }, (_, row) => BigInt(from + row));
    await made.upsert({ ids, vectors: packed(ids.length) });
  }
  return made;
}

const query = (row: number): Float32Array => queries.subarray(row * DIMENSION, (row + 1) * DIMENSION);
const exact = await source.open('bench');
let at = 0;
const rate = (target: Pick<typeof exact, 'search'>): Promise<number> =>
  rateOf(1, () => target.search(query(at++ % QUERIES), { topK: TOP_K }));

async function recall(): Promise<number> {
  const wanted = await exact.search(queries, { topK: TOP_K });
  const found = await index.search(queries, { topK: TOP_K });
  const right = wanted.map(({ ids }, row) => ids.filter((id) => found[row]?.ids.includes(id)).length);
  return right.reduce((sum, count) => sum + count, 0) / (QUERIES * TOP_K);
}

const WORK: Readonly<Record<string, () => Promise<number>>> = {
  rate: () => rate(index),
  ratio: async () => (await rate(index)) / (await rate(exact)),
  recall,
};
await serve(WORK[what] ?? recall, () => engine.close());
