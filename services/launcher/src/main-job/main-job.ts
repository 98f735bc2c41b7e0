import { join } from 'node:path';
import { LoadModelRequest } from '@online-cnclip/contracts/encoder/v1';
import { readEmojiCatalogue } from '../emoji/catalogue.ts';
import { type Splits, splitEmoji } from '../emoji/splits.ts';
import { folderTrials, type Gallery, heldOutTrials, type Trial } from '../galleries.ts';
import type { DemoReport, RecallReport } from '../report.ts';
import { type JobContext, timed } from './context.ts';
import { makeDataset } from './dataset.ts';
import { GALLERIES_FOLDER, writeGalleryPictures } from './gallery-pictures.ts';
import { encodeGallery, fillIndex, rankTrial } from './ranking.ts';
import { CONTEXT_LENGTH, findTrainedModel, TEXT_MODEL, trainModel, VISION_MODEL } from './training.ts';

export interface MainJobOptions {
  /** The services' data folder, absolute. */
  readonly dataFolder: string;
  /** Folder of pictures to rank instead of the held-out ones. */
  readonly gallery: string | undefined;
  readonly maxSteps: number;
  readonly batchSize: number;
  readonly emojiLimit: number | undefined;
  readonly setupSeconds: number;
}

interface Model {
  readonly checkpoint: string;
  readonly datasetSeconds: number;
  readonly trainSeconds: number;
}

/**
 * The product's main job, through its services: data set, training, encoding, ranking, evaluation. With a gallery of the
 * user's the model trained last is used, and one is trained only when there is none.
 */
export async function runMainJob(context: JobContext, options: MainJobOptions): Promise<DemoReport> {
  const catalogue = readEmojiCatalogue().slice(0, options.emojiLimit);
  const splits = splitEmoji(catalogue);
  // A folder that cannot be used is refused before minutes go into training.
  const own = options.gallery && (await folderTrials(options.gallery, catalogue, splits));
  if (own) for (const reason of own.skipped) context.progress.note(`left out: ${reason}`);
  const trials = own ? own.trials : await heldOutTrials(splits);
  await writeGalleryPictures(join(options.dataFolder, GALLERIES_FOLDER), trials);

  const reusable = own ? await findTrainedModel(context) : undefined;
  if (reusable) context.progress.note(`using the model trained before: ${reusable}`);
  const model = reusable
    ? { checkpoint: reusable, datasetSeconds: 0, trainSeconds: 0 }
    : await makeModel(context, options, splits);
  const { offline, encodeSeconds, rankSeconds } = await rankTrials(context, model.checkpoint, trials);
  return {
    offline,
    seconds: {
      setup: options.setupSeconds,
      dataset: model.datasetSeconds,
      train: model.trainSeconds,
      encode: encodeSeconds,
      rank: rankSeconds,
    },
  };
}

async function makeModel(context: JobContext, options: MainJobOptions, splits: Splits): Promise<Model> {
  const [, datasetSeconds] = await timed(() => makeDataset(context, options.dataFolder, splits));
  const [checkpoint, trainSeconds] = await timed(() => trainModel(context, options));
  return { checkpoint, datasetSeconds, trainSeconds };
}

async function rankTrials(context: JobContext, checkpoint: string, trials: readonly Trial[]) {
  const galleries = [...new Set(trials.map(({ gallery }) => gallery))];
  const [encoded, encodeSeconds] = await timed(async () => {
    await loadModel(context, checkpoint);
    const vectors: [Gallery, Awaited<ReturnType<typeof encodeGallery>>][] = [];
    for (const gallery of galleries) vectors.push([gallery, await encodeGallery(context, gallery)]);
    return vectors;
  });
  const [offline, rankSeconds] = await timed(async () => {
    for (const [{ index }, vectors] of encoded) await fillIndex(context, index, vectors);
    const reports = {} as Record<Trial['test'], RecallReport>;
    for (const trial of trials) reports[trial.test] = await rankTrial(context, trial);
    return reports;
  });
  return { offline, encodeSeconds, rankSeconds };
}

async function loadModel({ clients, signal }: JobContext, checkpointPath: string): Promise<void> {
  const request = LoadModelRequest.fromPartial({
    checkpointPath,
    visionModel: VISION_MODEL,
    textModel: TEXT_MODEL,
    contextLength: CONTEXT_LENGTH,
  });
  await clients.encoder.loadModel(request, { signal });
}
