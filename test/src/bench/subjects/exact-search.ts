// Exact search among a million vectors of 512 numbers in the embedded index: `exact-search N` with N queries at a time, in
// queries per second. The vectors are in a file that the peer reads, too.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ExactEngine, openNpy, writeNpyRows } from '@online-cnclip/embedding-index';
import { folder, rateOf, serve, threads } from '../serve.ts';
import { galleryVectors } from '../work/gallery-vectors.ts';

const ITEMS = 1_000_000;
const DIMENSION = 512;
const TOP_K = 10;
const PART = 4_000;
const QUERIES = 640;

const data = join(folder, 'exact-search');
const galleryPath = join(data, 'gallery.npy');
const queriesPath = join(data, 'queries.npy');
mkdirSync(data, { recursive: true });

if (!existsSync(galleryPath)) {
  const vectors = galleryVectors(DIMENSION, 1);
  function* rows() {
    for (let made = 0; made < ITEMS; made += PART) yield vectors.next(PART);
  }
  await writeNpyRows(queriesPath, [QUERIES, DIMENSION], [vectors.next(QUERIES)]);
  await writeNpyRows(galleryPath, [ITEMS, DIMENSION], rows());
}

const engine = await ExactEngine.open({ folder: join(data, 'indexes'), threads });
const [made] = await engine.list();
const index = made ?? (await engine.create({ name: 'gallery', dimension: DIMENSION }));
const gallery = await openNpy(galleryPath);
for (let first = await index.count(); first < ITEMS; first += PART) {
  const ids = BigInt64Array.from({ length: PART }, (_, i) => BigInt(first + i));
  await index.upsert({ ids, vectors: await gallery.readRows(first, PART) });
}
await gallery.close();

const queries = await openNpy(queriesPath);
const asked = await queries.readRows(0, QUERIES);
await queries.close();
const atATime = Number(process.argv[2]);
let next = 0;

await serve(
  () =>
    rateOf(atATime, () => {
      const first = next;
      next = (next + atATime) % (QUERIES - atATime + 1);
      return index.search(asked.subarray(first * DIMENSION, (first + atATime) * DIMENSION), { topK: TOP_K });
    }),
  () => engine.close(),
);
