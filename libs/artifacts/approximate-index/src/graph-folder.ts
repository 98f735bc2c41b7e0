import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataLossError, messageOf, replaceFileAtomically, syncPath } from '@online-cnclip/foundation';
import type { GraphShape } from './graph/graph-options.ts';
import type { NeighborGraph } from './graph/neighbor-graph.ts';
import { slices } from './slices.ts';

// A graph's folder holds
//   placed          what is in the graph: a line of JSON (Header), then int64 ids [n], uint32 checksums [n], both
//                   little-endian, then the SHA-256 of all before
//   graph-XXXX      usearch's file, which `placed` names
// `placed` is replaced last, so that it always goes with the graph that it names. All of it can be made again from the index.

const PLACED_FILE = 'placed';
const GRAPH_PREFIX = 'graph-';
const FORMAT = 1;
const DIGEST_BYTES = 32;

interface Header {
  readonly format: number;
  /** What the graph was made with and for; all of it has to be the same. */
  readonly key: string;
  readonly graph: string;
  readonly graphBytes: number;
  readonly graphSha256: string;
  readonly items: number;
}

/** Checksum of the vector that the graph has for an id. */
export type Placed = Map<bigint, number>;

/** One index's graph on disk. */
export class GraphFolder {
  readonly #folder: string;
  readonly #key: string;

  /** @param createTime of the index: another index of the same name has another graph. */
  constructor(
    folder: string,
    { dimension, precision, connectivity, expansionAdd }: GraphShape,
    createTime: Date,
  ) {
    this.#folder = folder;
    this.#key = [dimension, precision, connectivity, expansionAdd, createTime.toISOString()].join(' ');
  }

  /** Writes a graph, whose vectors must not change meanwhile, and what is in it. */
  async save(graph: NeighborGraph, placed: Placed): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const name = `${GRAPH_PREFIX}${randomBytes(6).toString('hex')}`;
    const path = join(this.#folder, name);
    try {
      await graph.save(path);
      await syncPath(path);
      const header: Header = {
        format: FORMAT,
        key: this.#key,
        graph: name,
        graphBytes: (await stat(path)).size,
        graphSha256: await sha256Of(path),
        items: placed.size,
      };
      await replaceFileAtomically(join(this.#folder, PLACED_FILE), (temporary) =>
        writePlaced(temporary, header, placed),
      );
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    await this.#removeGraphsBut(name);
  }

  /**
   * Brings the graph back.
   *
   * @returns what is in it; undefined when there is none, or one that was made with other options.
   * @throws DataLossError when a file is damaged.
   */
  async load(graph: NeighborGraph, way: 'load' | 'map'): Promise<Placed | undefined> {
    const path = join(this.#folder, PLACED_FILE);
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!bytes) return undefined;
    const { header, ids, checksums } = parsePlaced(bytes, path);
    if (header.key !== this.#key) return undefined;
    const graphPath = join(this.#folder, header.graph);
    await requireWhole(graphPath, header);
    await graph[way](graphPath);
    if (graph.size !== header.items)
      throw new DataLossError(`holds ${graph.size} vectors instead of ${header.items}`, { place: graphPath });
    const placed: Placed = new Map();
    for await (const rows of slices(ids.keys()))
      for (const row of rows) placed.set(ids[row] as bigint, checksums[row] as number);
    return placed;
  }

  /** Removes everything. */
  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #removeGraphsBut(name: string): Promise<void> {
    for (const file of await readdir(this.#folder))
      if (file.startsWith(GRAPH_PREFIX) && file !== name) await rm(join(this.#folder, file), { force: true });
  }
}

async function writePlaced(path: string, header: Header, placed: Placed): Promise<void> {
  const ids = new BigInt64Array(placed.size);
  const checksums = new Uint32Array(placed.size);
  let row = 0;
  for await (const slice of slices(placed))
    for (const [id, checksum] of slice) {
      ids[row] = id;
      checksums[row++] = checksum;
    }
  const hash = createHash('sha256');
  const file = await open(path, 'wx');
  try {
    for (const part of [Buffer.from(`${JSON.stringify(header)}\n`), bytesOf(ids), bytesOf(checksums)]) {
      hash.update(part);
      await file.writeFile(part);
    }
    await file.writeFile(hash.digest());
  } finally {
    await file.close();
  }
}

interface PlacedColumns {
  readonly header: Header;
  readonly ids: BigInt64Array;
  readonly checksums: Uint32Array;
}

function parsePlaced(bytes: Buffer, path: string): PlacedColumns {
  const content = bytes.subarray(0, -DIGEST_BYTES);
  const digest = createHash('sha256').update(content).digest();
  if (!digest.equals(bytes.subarray(-DIGEST_BYTES)))
    throw new DataLossError('is damaged: its checksum is another', { place: path });
  const end = content.indexOf('\n');
  try {
    // The checksum proves it ours.
    const header = JSON.parse(content.toString('utf8', 0, end)) as Header;
    if (header.format !== FORMAT) throw new RangeError(`format ${header.format} is not ${FORMAT}`);
    // A copy begins at a multiple of 8.
    const { buffer } = Uint8Array.from(content.subarray(end + 1));
    const ids = new BigInt64Array(buffer, 0, header.items);
    const checksums = new Uint32Array(buffer, header.items * 8, header.items);
    return { header, ids, checksums };
  } catch (cause) {
    throw new DataLossError(`cannot be read: ${messageOf(cause)}`, { place: path, cause });
  }
}

async function requireWhole(path: string, { graphBytes, graphSha256 }: Header): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => -1,
  );
  if (size !== graphBytes || (await sha256Of(path)) !== graphSha256)
    throw new DataLossError('is missing or damaged', { place: path });
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 }))
    hash.update(part as Buffer);
  return hash.digest('hex');
}

const bytesOf = ({ buffer, byteOffset, byteLength }: BigInt64Array | Uint32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
