// Composition root of the trainer: the only file of this service that reads the environment.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createEncoderClient } from '@online-cnclip/client';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import { runMain } from '@online-cnclip/service-kit';
import { DataRoot } from './data-root.ts';
import { trainerService } from './handlers.ts';
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
  async compose({ config, logger, telemetry, health, shutdown }) {
    mkdirSync(config.dataFolder, { recursive: true });
    const root = new DataRoot(config.dataFolder);
    const launcher = processLauncher({
      runtime: runtimeChoice(config),
      environment: process.env,
    });
    const served =
      config.encoderAddress === undefined
        ? undefined
        : new ServedModels(createEncoderClient(config.encoderAddress), join(root.path, SERVED_MODELS));
    const runs = await Runs.open({
      store: new RunStore(join(root.path, RUN_RECORDS)),
      launch: launcher.launch,
      launchAdaptation: launcher.launchAdaptation,
      async serve(checkpoint, { visionModel, textModel, contextLength }) {
        if (!served) throw new FailedPreconditionError('no encoder-address is configured');
        const checkpointPath = root.relative(checkpoint);
        await served.serve({ checkpointPath, visionModel, textModel, contextLength });
      },
      logger,
    });
    observeRuns(telemetry, runs);
    // Calls that watch or stop the run end when it does: it is told first, the drain then waits for them.
    shutdown.addEventListener('abort', () => void runs.close());
    return {
      implementations: [
        trainerService({ root, runs, logger, served, crawlerAddress: config.crawlerAddress }),
      ],
      async start() {
        await launcher.check();
        health.setServing(true);
      },
      async close() {
        await runs.close();
        served?.close();
      },
    };
  },
});
