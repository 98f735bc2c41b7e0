// Composition root of the trainer: the only file of this service that reads the environment.
import { join } from 'node:path';
import { createEncoderClient } from '@online-cnclip/client';
import { DataFolder, FailedPreconditionError } from '@online-cnclip/foundation';
import { Coordinator, RunOrders, replicaService } from '@online-cnclip/replicas';
import { runMain, traceparent } from '@online-cnclip/service-kit';
import { trainerService } from './handlers.ts';
import { followOrders } from './replicas/follow-orders.ts';
import { leadRuns } from './replicas/lead-runs.ts';
import { replicaPlace } from './replicas/place.ts';
import { RunJournal } from './runs/run-journal.ts';
import { RunStore } from './runs/run-store.ts';
import { Runs } from './runs/runs.ts';
import { ServedModels } from './serving/served-models.ts';
import { runtimeChoice, trainerSettings } from './settings.ts';
import { observeRuns } from './telemetry.ts';
import { processLauncher } from './training/launch-training.ts';

/** Folder of the run records in the data folder. */
const RUN_RECORDS = 'run_records';
/** File in the data folder: what the encoder served before it was told to load adapted checkpoints. */
const SERVED_MODELS = 'served_models.json';

await runMain({
  name: 'trainer',
  settings: trainerSettings,
  environment: process.env,
  flags: process.argv.slice(2),
  async compose({ config, logger, telemetry, health, security, shutdown }) {
    const root = DataFolder.make(config.dataFolder, 'data-folder');
    const launcher = processLauncher({
      runtime: runtimeChoice(config),
      environment: process.env,
      trace: () => {
        const { tracesEndpoint: endpoint, tracesRatio: ratio } = config;
        return endpoint === undefined ? undefined : { endpoint, ratio, traceparent: traceparent() };
      },
      tls: security.files,
    });
    const place = replicaPlace(config);
    const orders = new RunOrders(config.worldSize);
    const dataFolder = root.path;
    const served =
      config.encoderAddress === undefined
        ? undefined
        : new ServedModels(
            createEncoderClient(config.encoderAddress, { credentials: security.credentials }),
            join(root.path, SERVED_MODELS),
          );
    const runs = await Runs.open({
      store: new RunStore(join(root.path, RUN_RECORDS)),
      journal: new RunJournal(join(root.path, RUN_RECORDS)),
      launch: place
        ? leadRuns({ launch: launcher.launchReplica, place, orders, dataFolder, logger })
        : launcher.launch,
      launchAdaptation: launcher.launchAdaptation,
      async serve(checkpoint, { visionModel, textModel, contextLength }) {
        if (!served) throw new FailedPreconditionError('no encoder-address is configured');
        const checkpointPath = root.relative(checkpoint);
        await served.serve({ checkpointPath, visionModel, textModel, contextLength });
      },
      logger,
    });
    observeRuns(telemetry, runs);
    let following: Promise<void> | undefined;
    // Calls that watch or stop the run end when it does: it is told first, the drain then waits for them.
    shutdown.addEventListener('abort', () => void runs.close());
    return {
      implementations: [
        trainerService({ root, runs, logger, served, crawlerAddress: config.crawlerAddress, place }),
        ...(place?.rank === 0 ? [replicaService(new Coordinator(), orders)] : []),
      ],
      async start() {
        await launcher.check();
        if (place && place.rank > 0)
          following = followOrders(
            {
              launch: launcher.launchReplica,
              place,
              dataFolder,
              logger,
              credentials: security.credentials,
            },
            shutdown,
          );
        // The other replicas' processes wait for the run that this one led.
        else if (place) runs.resumeInterrupted();
        health.setServing(true);
      },
      async close() {
        await runs.close();
        await following;
        served?.close();
      },
    };
  },
});
