import { join } from 'node:path';
import { crawledImages, createCrawlerClient } from '@online-cnclip/client';
import { splitPaths } from '@online-cnclip/dataset';
import { loadEncoderModel } from '@online-cnclip/encoding';
import { recallFromFeatures } from '@online-cnclip/evaluation';
import { FailedPreconditionError, flagOf, InvalidInputError } from '@online-cnclip/foundation';
import type { SingleFiles } from '@online-cnclip/retrieval';
import { createOnnxRuntime, openRuntime, type RuntimeChoice } from '@online-cnclip/runtime';
import {
  ADAPT_OPTION_NAMES,
  type AdaptOptions,
  type AdaptResult,
  adapt,
  adaptOptionSchemas,
  checkAdaptInputs,
  createTrainStep,
  parseAdaptOptions,
} from '@online-cnclip/training';
import type { Command } from 'commander';
import { schemaOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { datasetFolder, requirePath, type SplitOptions } from '../data-path.ts';
import { encodeFiles } from '../encode-files.ts';
import { AdaptationView, summaryLines } from '../online-view.ts';

/** Options that `predict single` names otherwise, or has as its argument. */
const NAMED_OTHERWISE = ['model', 'output', 'textFeatures'] as const;
type OnlineName = Exclude<keyof AdaptOptions, (typeof NAMED_OTHERWISE)[number]>;

const ONLINE_NAMES = ADAPT_OPTION_NAMES.filter(
  (name): name is OnlineName => !(NAMED_OTHERWISE as readonly string[]).includes(name),
);

/** Images read and decoded at a time. */
const IMAGE_BATCH = 64;

export interface OnlineGiven extends SplitOptions {
  readonly onlineLearning?: boolean;
  readonly checkpointFolder?: string;
  readonly imageData?: string;
}

export function addOnlineOptions(command: Command): void {
  command
    .argument(
      '[checkpoint]',
      'with --online-learning: the model to start from [resume/model.pt in the data path]',
    )
    .option('--online-learning', 'first adapt the model to the queries, on images fetched for them')
    .option(
      '--checkpoint-folder <folder>',
      'where the adapted checkpoint goes [experiments/ in the data path]',
    )
    .option(
      '--image-data <path>',
      "ours: the gallery, LMDB folder of a split's images (.../imgs) or an _imgs.tsv",
    );
  for (const name of ONLINE_NAMES) command.addOption(schemaOption(name, adaptOptionSchemas[name]));
}

/** @throws InvalidInputError naming an option that means nothing without online learning. */
export function refuseOnlineOptions(checkpoint: string | undefined, given: OnlineGiven): void {
  const values = given as unknown as Readonly<Record<string, unknown>>;
  const names = [...ONLINE_NAMES, 'checkpointFolder', 'imageData'];
  const [name] =
    checkpoint === undefined ? names.filter((each) => values[each] !== undefined) : ['checkpoint'];
  if (name === undefined) return;
  throw new InvalidInputError('goes with --online-learning only', {
    place: name === 'checkpoint' ? (checkpoint as string) : flagOf(name),
  });
}

/** Adapts, and encodes the gallery with the result; the features are then in their files. */
export async function adaptForPrediction(
  checkpoint: string | undefined,
  given: OnlineGiven,
  files: Pick<SingleFiles, 'imageFeatures' | 'textFeatures'>,
  runtime: RuntimeChoice,
  context: CliContext,
): Promise<'adapted' | 'stopped'> {
  const options = adaptOptionsOf(checkpoint, given, files.textFeatures);
  checkAdaptInputs(options);
  const gallery = galleryOf(given);
  const result = await runAdaptation(options, runtime, context);
  for (const line of summaryLines(result)) context.print(line);
  if (result.outcome === 'rejected')
    throw new FailedPreconditionError(
      'the gate did not pass: the adapted weights are dropped, nothing was written',
      {
        place: '--gate-max-drop',
      },
    );
  if (result.checkpoint === undefined) return 'stopped';
  await encodeGallery(
    { checkpoint: result.checkpoint, gallery, output: files.imageFeatures },
    options,
    runtime,
    context,
  );
  return 'adapted';
}

/** With a data path the research code's places are the defaults. */
function adaptOptionsOf(
  checkpoint: string | undefined,
  { dataPath, dataset, split, checkpointFolder, ...given }: OnlineGiven,
  textFeatures: string,
): AdaptOptions {
  const folder = datasetFolder({ dataset, dataPath });
  const values = Object.fromEntries(
    ONLINE_NAMES.map((name) => [name, (given as unknown as Record<string, unknown>)[name]]),
  );
  const inFolder = (path: string) => (folder === undefined ? undefined : join(folder, path));
  const inDataPath = (path: string) => (dataPath === undefined ? undefined : join(dataPath, path));
  const model = requirePath(checkpoint, inDataPath('resume/model.pt'), 'checkpoint');
  const known = folder === undefined ? undefined : splitPaths(folder, split);
  return parseAdaptOptions({
    ...(values['replayRatio'] !== undefined && { trainData: inFolder('lmdb/train') }),
    ...(values['gateMaxDrop'] !== undefined && { gateData: inFolder('lmdb/valid') }),
    cacheFolder: inDataPath('cache'),
    output: checkpointFolder ?? inDataPath('experiments'),
    ...Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
    queries: requirePath(values['queries'] as string | undefined, known?.textsJsonl, '--queries'),
    model,
    textFeatures,
  });
}

function galleryOf({ dataPath, dataset, split, imageData }: OnlineGiven): string {
  const folder = datasetFolder({ dataset, dataPath });
  const known = folder === undefined ? undefined : join(splitPaths(folder, split).lmdb, 'imgs');
  return requirePath(imageData, known, '--image-data');
}

async function runAdaptation(
  options: AdaptOptions,
  choice: RuntimeChoice,
  context: CliContext,
): Promise<AdaptResult> {
  const signal = context.stopSignal();
  const runtime = await openRuntime({ ...choice, arena: false });
  const view = new AdaptationView(context.progress);
  try {
    const { credentials } = await context.clientSecurity();
    const ports = {
      runtime,
      createTrainStep,
      recall: { recall: recallFromFeatures },
      crawledImages: (address: string) => crawledImages(createCrawlerClient(address, { credentials })),
    };
    return await adapt(options, ports, { signal, onEvent: (event) => view.show(event) });
  } finally {
    view.end();
    await runtime.dispose();
  }
}

interface GalleryJob {
  readonly checkpoint: string;
  readonly gallery: string;
  readonly output: string;
}

async function encodeGallery(
  { checkpoint, gallery, output }: GalleryJob,
  { visionModel, textModel, contextLength }: AdaptOptions,
  { device, threads }: RuntimeChoice,
  context: CliContext,
): Promise<void> {
  const model = await loadEncoderModel({
    path: checkpoint,
    visionModel,
    textModel,
    contextLength,
    createRuntime: () =>
      createOnnxRuntime({ ...(device && { device }), ...(threads === undefined ? {} : { threads }) }),
  });
  try {
    const job = { kind: 'images', input: gallery, output, batchSize: IMAGE_BATCH } as const;
    await encodeFiles(model, [job], { ...context, signal: context.stopSignal() });
  } finally {
    await model.dispose();
  }
}
