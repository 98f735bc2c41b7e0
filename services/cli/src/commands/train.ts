import { join } from 'node:path';
import { crawledImages, createCrawlerClient } from '@online-cnclip/client';
import { recallFromFeatures } from '@online-cnclip/evaluation';
import { openRuntime } from '@online-cnclip/runtime';
import {
  checkTrainingInputs,
  createTrainStep,
  parseTrainingOptions,
  TRAINING_OPTION_NAMES,
  type TrainingEvent,
  type TrainingOptions,
  type TrainingResult,
  train,
  trainingOptionSchemas,
} from '@online-cnclip/training';
import type { Command } from 'commander';
import { type RuntimeOptions, runtimeOptions, schemaOption, takeRuntimeOptions } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addDataPathOptions, type DataPathOptions, datasetFolder, requirePath } from '../data-path.ts';
import type { Progress, ProgressTask } from '../progress.ts';
import { openReplicas } from '../replicas.ts';

type Given = DataPathOptions & Readonly<Record<string, unknown>>;

export function configure(command: Command, context: CliContext): void {
  command.description(
    "Trains a model with the research code's options. Ctrl-C finishes the step in hand and saves; the same command then goes on " +
      'from there. Ctrl-C again ends it at once.',
  );
  for (const name of TRAINING_OPTION_NAMES)
    command.addOption(schemaOption(name, trainingOptionSchemas[name]));
  addDataPathOptions(command, context);
  runtimeOptions(command);
  command.action((given: Given & RuntimeOptions) => runTraining(given, context));
}

async function runTraining(given: Given & RuntimeOptions, context: CliContext): Promise<void> {
  const [choice, rest] = takeRuntimeOptions<Given>(given);
  const options = trainingOptionsOf(rest);
  checkTrainingInputs(options);
  const signal = context.stopSignal();
  const replicas = await openReplicas(context);
  const runtime = await openRuntime({ ...choice, arena: false });
  const view = new TrainingView(context.progress);
  const onStop = () =>
    context.progress.note('stopping: finishing the step and saving (Ctrl-C again ends at once)');
  signal.addEventListener('abort', onStop);
  try {
    const { credentials } = await context.clientSecurity();
    const ports = {
      runtime,
      createTrainStep,
      recall: { recall: recallFromFeatures },
      crawledImages: (address: string) => crawledImages(createCrawlerClient(address, { credentials })),
      ...(replicas && { replicas: replicas.ports }),
    };
    const result = await train(options, ports, { signal, onEvent: (event) => view.show(event) });
    view.end();
    context.print(summaryOf(result));
  } finally {
    view.end();
    signal.removeEventListener('abort', onStop);
    await runtime.dispose();
    await replicas?.close();
  }
}

/** With a data path the research code's scripts' own places are the defaults: both splits of the data set, and experiments/. */
function trainingOptionsOf({ dataPath, dataset, ...given }: Given): TrainingOptions {
  const folder = datasetFolder({ dataset, dataPath });
  const splits =
    folder === undefined
      ? undefined
      : { trainData: join(folder, 'lmdb/train'), valData: join(folder, 'lmdb/valid') };
  const trainData = requirePath(given['trainData'] as string | undefined, splits?.trainData, '--train-data');
  return parseTrainingOptions({
    ...(dataPath !== undefined && {
      logs: join(dataPath, 'experiments'),
      cacheFolder: join(dataPath, 'cache'),
    }),
    ...(given['trainData'] === undefined && splits),
    ...given,
    trainData,
  });
}

function summaryOf({ outcome, step, epoch, loss, checkpoint }: TrainingResult): string {
  const parts = [
    `${outcome} at step ${step}, epoch ${epoch}`,
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(6)}`]),
    ...(checkpoint === undefined ? [] : [`saved ${checkpoint}`]),
  ];
  return parts.join(', ');
}

/** A training on the terminal: the research code's log, with a bar below it. */
class TrainingView {
  readonly #progress: Progress;
  #task: ProgressTask | undefined;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  show(event: TrainingEvent): void {
    if (event.kind === 'log')
      this.#progress.note(event.level === 'INFO' ? event.message : `${event.level}: ${event.message}`);
    if (event.kind === 'started') {
      this.#task = this.#progress.start('steps', event.totalSteps);
      this.#task.update(event.startStep);
    }
    if (event.kind === 'step')
      this.#task?.update(event.step, `loss ${event.loss.toFixed(4)}`, event.etaSeconds);
  }

  end(): void {
    this.#task?.end();
    this.#task = undefined;
  }
}
