import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createEncoderClient } from '@online-cnclip/client';
import { RankerServiceService } from '@online-cnclip/contracts/ranker/v1';
import { createIndex } from '@online-cnclip/embedding-index';
import { type ConfigOf, DataFolder } from '@online-cnclip/foundation';
import { IndexCatalog } from '@online-cnclip/retrieval';
import { type Composition, type CompositionContext, implement } from '@online-cnclip/service-kit';
import { rankerCosts } from './costs.ts';
import { createGrpcQueryEncoder } from './grpc-query-encoder.ts';
import { createHandlers } from './handlers.ts';
import type { rankerSettings } from './settings.ts';
import { Snapshots } from './snapshots.ts';
import { observeCatalog, observeSnapshots } from './telemetry.ts';

export type RankerConfig = ConfigOf<typeof rankerSettings>;

/** Folder of the snapshots in the data folder. */
const INDEX_FOLDER = 'indexes';

/** Wires the service. The encoder is connected to when the first text or image comes. */
export async function composeRanker(context: CompositionContext<RankerConfig>): Promise<Composition> {
  const { config, logger, telemetry, health } = context;
  mkdirSync(config.dataFolder, { recursive: true });
  const folder = new DataFolder(config.dataFolder);
  const catalog = await IndexCatalog.open({
    folder: join(folder.path, INDEX_FOLDER),
    maxItems: config.maxIndexItems,
  });
  const indexes = catalog.list().map(({ name, index }) => ({ name, items: index.size }));
  logger.info({ indexes }, 'indexes loaded');
  observeCatalog(telemetry, catalog);
  const snapshots = new Snapshots(catalog, {
    intervalMs: config.snapshotIntervalMs,
    logger,
    onSaved: observeSnapshots(telemetry),
  });
  const client = createEncoderClient(config.encoderAddress, { maxMessageBytes: config.maxMessageBytes });
  const encoder = createGrpcQueryEncoder(client);
  return {
    implementations: [
      implement(
        RankerServiceService,
        createHandlers({ catalog, encoder, folder }),
        rankerCosts(itemsIn(catalog)),
      ),
    ],
    async start() {
      await proveSearch();
      health.setServing(true);
    },
    async close() {
      client.close();
      await snapshots.close();
    },
  };
}

const itemsIn =
  (catalog: IndexCatalog) =>
  (name: string): number => {
    try {
      return catalog.get(name).index.size;
    } catch {
      return 0; // The handler says what is wrong with the name.
    }
  };

/** A real search, kernel included, before anyone is told that the service can search. */
async function proveSearch(): Promise<void> {
  const index = createIndex({ dimension: 2 });
  const vector = Float32Array.of(3, 4);
  await index.upsert([1n, 2n], [Float32Array.of(1, 0), vector]);
  const [hits] = await index.search([vector], 1);
  if (hits?.ids[0] !== 2n) throw new Error('a search for a vector did not find it');
}
