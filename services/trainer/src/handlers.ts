import { type RunState, TrainerServiceService } from '@online-cnclip/contracts/trainer/v1';
import {
  type DataFolder,
  FailedPreconditionError,
  InvalidInputError,
  type Logger,
} from '@online-cnclip/foundation';
import { type Handlers, type Implementation, implement } from '@online-cnclip/service-kit';
import { checkAdaptInputs, tryTrainingInputs } from '@online-cnclip/training';
import { adaptationPlanOf } from './adaptation-message.ts';
import { buildDatasetUpdates } from './builds/dataset-builds.ts';
import { listCheckpoints } from './checkpoint-files.ts';
import { buildRequestOf, buildUpdateMessage } from './dataset-message.ts';
import { runFolder, trainingOptionsOf } from './options-message.ts';
import type { ReplicaPlace } from './replicas/place.ts';
import { checkpointMessage, runMessage, runStateMessage, updateMessage } from './run-message.ts';
import type { Runs } from './runs/runs.ts';
import type { ServedModels } from './serving/served-models.ts';

/** More points than a wide screen has pixels. */
const DEFAULT_HISTORY_STEPS = 2_000;
/** A few megabytes. */
const MAX_HISTORY_STEPS = 20_000;

export interface TrainerParts {
  readonly root: DataFolder;
  readonly runs: Runs;
  /** Absent where no encoder is configured. */
  readonly served: ServedModels | undefined;
  /** Absent where no crawler is configured. */
  readonly crawlerAddress: string | undefined;
  readonly logger: Logger;
  /** Absent where there is one replica. */
  readonly place?: ReplicaPlace | undefined;
}

export function trainerService(parts: TrainerParts): Implementation {
  return implement(TrainerServiceService, trainerHandlers(parts));
}

function trainerHandlers({
  root,
  runs,
  served,
  crawlerAddress,
  logger,
  place,
}: TrainerParts): Handlers<typeof TrainerServiceService> {
  const requireLeader = () => {
    if (place && place.rank > 0)
      throw new FailedPreconditionError(
        `this is replica ${place.rank} of ${place.worldSize}: replica 0 starts runs, at ${place.address}`,
      );
  };
  const requireCrawler = () => {
    if (crawlerAddress === undefined)
      throw new FailedPreconditionError('no crawler-address is configured; online_cache needs none');
  };
  return {
    async *buildDataset(request, { signal }) {
      for await (const update of buildDatasetUpdates(buildRequestOf(request, root), signal))
        yield buildUpdateMessage(update, root);
    },

    async startRun({ options }) {
      requireLeader();
      if (!options) throw new InvalidInputError('is required', { place: 'options' });
      if (options.onlineLearning && !options.onlineCache) requireCrawler();
      const training = trainingOptionsOf(options, root, new Date(), crawlerAddress);
      runs.requireRoom(training.name);
      await tryTrainingInputs(training);
      return { run: runMessage(runs.start(training, runFolder(training)), root) };
    },

    async startAdaptation({ options }) {
      requireLeader();
      if (!options) throw new InvalidInputError('is required', { place: 'options' });
      if (!options.onlineCache) requireCrawler();
      const serve = options.serve ?? served !== undefined;
      if (serve && !served)
        throw new FailedPreconditionError('serve needs an encoder-address, and none is configured');
      const plan = adaptationPlanOf(options, root, new Date(), crawlerAddress);
      checkAdaptInputs(plan.options);
      return { run: runMessage(runs.startAdaptation({ ...plan, serve }), root) };
    },

    async rollBackModel() {
      if (!served) throw new FailedPreconditionError('no encoder-address is configured');
      return served.rollBack();
    },

    async *watchRun({ name }, { signal }) {
      for await (const update of runs.watch(name, signal)) yield updateMessage(update, root);
    },

    async stopRun({ name }) {
      return { run: runMessage(await runs.stop(name), root) };
    },

    async getRun({ name }) {
      return { run: runMessage(runs.get(name), root) };
    },

    async listRuns({ states }) {
      const wanted = new Set<RunState>(states);
      const records = runs.list().filter(({ state }) => !wanted.size || wanted.has(runStateMessage(state)));
      return { runs: records.map((record) => runMessage(record, root)) };
    },

    async getRunHistory({ name, maxSteps }) {
      const updates = await runs.history(name, historySteps(maxSteps));
      return {
        run: runMessage(runs.get(name), root),
        updates: updates.map((update) => updateMessage(update, root)),
      };
    },

    async listCheckpoints({ name }) {
      const files = await listCheckpoints(runs.get(name).folder, logger);
      return { checkpoints: files.map((file) => checkpointMessage(file, root)) };
    },
  };
}

function historySteps(maxSteps: number): number {
  if (maxSteps < 0 || maxSteps > MAX_HISTORY_STEPS)
    throw new InvalidInputError(`${maxSteps} is not from 0 to ${MAX_HISTORY_STEPS}`, { place: 'max_steps' });
  return maxSteps || DEFAULT_HISTORY_STEPS;
}
