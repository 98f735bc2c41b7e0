import {
  DEFAULT_TOP_K,
  DEFAULT_WEIGHTS,
  type EnsembleFiles,
  ensembleFiles,
  ensembleLastFiles,
  type PredictionSummary,
  predictEnsembleFiles,
  predictSingle,
  singleFiles,
} from '@online-cnclip/retrieval';
import type { Command } from 'commander';
import {
  countOption,
  numberList,
  type RuntimeOptions,
  runtimeOptions,
  takeRuntimeOptions,
} from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addSplitOptions, requirePath, type SplitOptions } from '../data-path.ts';
import type { ProgressTask } from '../progress.ts';
import {
  adaptForPrediction,
  addOnlineOptions,
  type OnlineGiven,
  refuseOnlineOptions,
} from './predict-online.ts';

interface CommonOptions extends SplitOptions {
  readonly imageFeats?: string;
  readonly textFeats?: string;
  readonly output?: string;
  readonly scoreMatrix?: string;
  readonly topK: number;
}

interface SingleOptions extends CommonOptions, Omit<OnlineGiven, keyof SplitOptions> {
  readonly model: number;
}

interface EnsembleOptions extends CommonOptions {
  readonly matrixFolder?: string;
  readonly weights?: readonly number[];
}

/** Where the research code keeps an ensemble's files, by its data path. */
type FilesIn = (dataPath: string, options: SplitOptions) => EnsembleFiles;

const MAX_TOP_K = 1000;
const NO_MATRIX = 'none';

export function configure(command: Command, context: CliContext): void {
  const single = command
    .command('single')
    .description(
      "Ranks the gallery for every query by one model's features, as make_topk_predictions.py does. With --online-learning the model " +
        'first adapts to the queries, and the features are those of the adapted one.',
    );
  addCommonOptions(single, context);
  countOption(single, '--model <n>', "ours: the model's number in an ensemble, which names its files", {
    initial: 1,
  });
  addOnlineOptions(single);
  runtimeOptions(single);
  single.action((checkpoint: string | undefined, options: SingleOptions & RuntimeOptions) =>
    predictOne(checkpoint, options, context),
  );

  addEnsemble(
    command,
    context,
    'ensemble',
    'Ranks by the weighted scores of several models (npy_save).',
    ensembleFiles,
  );
  const last = 'Ranks by the kept scores of an earlier ensemble (npy_save_last).';
  addEnsemble(command, context, 'ensemble-last', last, ensembleLastFiles);
}

function addEnsemble(
  command: Command,
  context: CliContext,
  name: string,
  text: string,
  filesIn: FilesIn,
): void {
  const ensemble = command.command(name).description(text);
  addCommonOptions(ensemble, context);
  ensemble
    .option('--matrix-folder <folder>', 'folder of matrix-1.npy, matrix-2.npy, ...')
    .option(
      '--weights <numbers>',
      `a weight per matrix [${DEFAULT_WEIGHTS}]; their sum counts by their number`,
      numberList,
    )
    .action((options: EnsembleOptions) => predictTogether(options, filesIn, context));
}

function addCommonOptions(command: Command, context: CliContext): void {
  command
    .option('--image-feats <path>', "features of the gallery's images: {split}_imgs.img_feat.jsonl")
    .option('--text-feats <path>', 'features of the queries: {split}_texts.txt_feat.jsonl')
    .option('--output <path>', 'where the predictions go')
    .option('--score-matrix <path>', 'where all scores go, as .npy; none: nowhere');
  countOption(command, '--top-k <n>', 'items per query', { most: MAX_TOP_K, initial: DEFAULT_TOP_K });
  addSplitOptions(command, context);
}

async function predictOne(
  checkpoint: string | undefined,
  given: SingleOptions & RuntimeOptions,
  context: CliContext,
): Promise<void> {
  const [runtime, options] = takeRuntimeOptions<SingleOptions>(given);
  const { dataPath, model, topK } = options;
  const known = dataPath === undefined ? undefined : singleFiles(dataPath, model, options);
  const scoreMatrix = options.scoreMatrix ?? known?.scoreMatrix;
  const files = {
    imageFeatures: requirePath(options.imageFeats, known?.imageFeatures, '--image-feats'),
    textFeatures: requirePath(options.textFeats, known?.textFeatures, '--text-feats'),
    predictions: requirePath(options.output, known?.predictions, '--output'),
    scoreMatrix: scoreMatrix === NO_MATRIX ? undefined : scoreMatrix,
  };
  if (!options.onlineLearning) refuseOnlineOptions(checkpoint, options);
  else if ((await adaptForPrediction(checkpoint, options, files, runtime, context)) === 'stopped') return;
  await report(files, context, (hooks) => predictSingle({ ...files, topK, ...hooks }));
}

async function predictTogether(
  options: EnsembleOptions,
  filesIn: FilesIn,
  context: CliContext,
): Promise<void> {
  const { dataPath, weights, topK } = options;
  const known = dataPath === undefined ? undefined : filesIn(dataPath, options);
  const files = {
    imageFeatures: requirePath(options.imageFeats, known?.imageFeatures, '--image-feats'),
    textFeatures: requirePath(options.textFeats, known?.textFeatures, '--text-feats'),
    matrixFolder: requirePath(options.matrixFolder, known?.matrixFolder, '--matrix-folder'),
    predictions: requirePath(options.output, known?.predictions, '--output'),
    scoreMatrix: requirePath(options.scoreMatrix, known?.scoreMatrix, '--score-matrix'),
  };
  await report(files, context, (hooks) => predictEnsembleFiles(files, { weights, topK, ...hooks }));
}

interface Hooks {
  readonly signal: AbortSignal;
  readonly onProgress: (ranked: number, queries: number) => void;
}

async function report(
  { predictions, scoreMatrix }: { readonly predictions: string; readonly scoreMatrix?: string | undefined },
  context: CliContext,
  predict: (hooks: Hooks) => Promise<PredictionSummary>,
): Promise<void> {
  let task: ProgressTask | undefined;
  const onProgress = (ranked: number, total: number): void => {
    task ??= context.progress.start('queries', total);
    task.update(ranked);
  };
  const { queries, gallery } = await predict({ signal: context.stopSignal(), onProgress }).finally(() =>
    task?.end(),
  );
  context.print(`${queries} queries, gallery of ${gallery}: ${predictions}`);
  if (scoreMatrix !== undefined) context.print(`scores: ${scoreMatrix}`);
}
