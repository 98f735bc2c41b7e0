// Composition root of the trainer: the only file of this service that reads the environment.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runMain } from '@online-cnclip/service-kit';
import { DataRoot } from './data-root.ts';
import { trainerService } from './handlers.ts';
import { RunStore } from './runs/run-store.ts';
import { Runs } from './runs/runs.ts';
import { runtimeChoice, trainerSettings } from './settings.ts';
import { observeRuns } from './telemetry.ts';
import { processLauncher } from './training/launch-training.ts';

/** Folder of the run records in the data folder. */
const RUN_RECORDS = 'run_records';

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
    const runs = await Runs.open({
      store: new RunStore(join(root.path, RUN_RECORDS)),
      launch: launcher.launch,
      logger,
    });
    observeRuns(telemetry, runs);
    // Calls that watch or stop the run end when it does: it is told first, the drain then waits for them.
    shutdown.addEventListener('abort', () => void runs.close());
    return {
      implementations: [trainerService({ root, runs, logger })],
      async start() {
        await launcher.check();
        health.setServing(true);
      },
      close: () => runs.close(),
    };
  },
});
