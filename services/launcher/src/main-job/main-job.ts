import { join } from 'node:path';
import { readEmojiCatalogue } from '../emoji/catalogue.ts';
import { type Splits, splitEmoji } from '../emoji/splits.ts';
import { folderTrials, heldOutTrials } from '../galleries.ts';
import { type DemoReport, formatReport } from '../report.ts';
import { type JobContext, timed } from './context.ts';
import { makeDataset } from './dataset.ts';
import { GALLERIES_FOLDER, writeGalleryPictures } from './gallery-pictures.ts';
import { requireBrowser } from './log-in.ts';
import { learnOnline } from './online.ts';
import { findTrainedModel, trainModel } from './training.ts';
import { rankTrials } from './trials.ts';

export interface MainJobOptions {
  /** The services' data folder, absolute. */
  readonly dataFolder: string;
  /** Folder of pictures to rank instead of the held-out ones. */
  readonly gallery: string | undefined;
  readonly maxSteps: number;
  readonly batchSize: number;
  readonly emojiLimit: number | undefined;
  readonly setupSeconds: number;
  /** Address of the fixture shop. */
  readonly shop: string;
}

interface Model {
  readonly checkpoint: string;
  readonly datasetSeconds: number;
  readonly trainSeconds: number;
}

/**
 * The product's main job, through its services: data set, training, encoding, ranking, evaluation; then the crawl of the
 * queries that went badly, learning online from it, and the same evaluation again. With a gallery of the user's the model
 * trained last is used, one is trained only when there is none, and the shop, which sells the demo's emoji, is left out.
 */
export async function runMainJob(context: JobContext, options: MainJobOptions): Promise<DemoReport> {
  const catalogue = readEmojiCatalogue().slice(0, options.emojiLimit);
  const splits = splitEmoji(catalogue);
  // A folder that cannot be used, or a browser that is not there, is refused before minutes go into training.
  const own = options.gallery && (await folderTrials(options.gallery, catalogue, splits));
  if (own) for (const reason of own.skipped) context.progress.note(`left out: ${reason}`);
  else await requireBrowser(context);
  const trials = own ? own.trials : await heldOutTrials(splits);
  await writeGalleryPictures(join(options.dataFolder, GALLERIES_FOLDER), trials);

  const reusable = own ? await findTrainedModel(context) : undefined;
  if (reusable) context.progress.note(`using the model trained before: ${reusable}`);
  const model = reusable
    ? { checkpoint: reusable, datasetSeconds: 0, trainSeconds: 0 }
    : await makeModel(context, options, splits);
  const { reports: offline, ...times } = await rankTrials(context, trials, model.checkpoint);
  const seconds = {
    setup: options.setupSeconds,
    dataset: model.datasetSeconds,
    train: model.trainSeconds,
    encode: times.encodeSeconds,
    rank: times.rankSeconds,
  };
  if (own) return { offline, seconds };
  context.progress.note(`\n${formatReport({ offline, seconds })}\n`);
  const start = { checkpoint: model.checkpoint, trials, offline };
  const { seconds: onlineSeconds, ...online } = await learnOnline(context, options, start);
  return { offline, ...online, seconds: { ...seconds, ...onlineSeconds } };
}

async function makeModel(context: JobContext, options: MainJobOptions, splits: Splits): Promise<Model> {
  const [, datasetSeconds] = await timed(() => makeDataset(context, options.dataFolder, splits));
  const [checkpoint, trainSeconds] = await timed(() => trainModel(context, options));
  return { checkpoint, datasetSeconds, trainSeconds };
}
