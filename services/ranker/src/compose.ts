import { createEncoderClient } from '@online-cnclip/client';
import { RankerServiceService } from '@online-cnclip/contracts/ranker/v1';
import { DataFolder, type Logger } from '@online-cnclip/foundation';
import { IndexCatalog } from '@online-cnclip/retrieval';
import { type Composition, type CompositionContext, implement } from '@online-cnclip/service-kit';
import { rankerCosts } from './costs.ts';
import { createGrpcQueryEncoder } from './grpc-query-encoder.ts';
import { createHandlers } from './handlers.ts';
import { openIndexEngine } from './index-engine.ts';
import { ItemCounts } from './item-counts.ts';
import type { RankerConfig } from './settings.ts';
import { observeCatalog, observeCommits } from './telemetry.ts';

/** Wires the service. The encoder is connected to when the first text or image comes. */
export async function composeRanker(context: CompositionContext<RankerConfig>): Promise<Composition> {
  const { config, logger, telemetry, health, security } = context;
  const folder = DataFolder.make(config.dataFolder, 'data-folder');
  const engine = await openIndexEngine(config, folder.path, {
    logger,
    onCommitted: observeCommits(telemetry),
  });
  const catalog = new IndexCatalog(engine);
  observeCatalog(telemetry, catalog);
  const counts = new ItemCounts(catalog);
  const client = createEncoderClient(config.encoderAddress, {
    maxMessageBytes: config.maxMessageBytes,
    credentials: security.credentials,
  });
  const encoder = createGrpcQueryEncoder(client);
  return {
    implementations: [
      implement(
        RankerServiceService,
        createHandlers({ catalog, encoder, folder }),
        rankerCosts((name) => counts.of(name)),
      ),
    ],
    async start() {
      await proveSearch(catalog, logger);
      await counts.readAll();
      health.setServing(true);
    },
    async close() {
      client.close();
      await engine.close();
    },
  };
}

/** A real search, where there is something to find, before anyone is told that the service can search. */
async function proveSearch(catalog: IndexCatalog, logger: Logger): Promise<void> {
  const indexes = await catalog.list();
  const described = await Promise.all(
    indexes.map(async (index) => ({ name: index.name, items: await index.count() })),
  );
  logger.info({ indexes: described }, 'indexes opened');
  const filled = indexes.find((_, i) => (described[i]?.items ?? 0) > 0);
  if (!filled) return;
  const query = new Float32Array(filled.dimension);
  query[0] = 1;
  const [hits] = await filled.search(query, { topK: 1 });
  if (hits?.ids.length !== 1) throw new Error(`a search in index ${filled.name} found nothing`);
}
