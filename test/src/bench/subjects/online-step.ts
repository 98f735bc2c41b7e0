// Online steps of ViT-B-16 + RoBERTa-base, 16 queries each, by the same events that a run tells.
// `cache`: time of an online step on cached images over that of an offline step on as many pairs, in turn.
// `uncached`: with a crawler that takes 50 ms for a query, one after the other, the share of the time that is spent waiting
// for images, from the second step on.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { type CrawlerClient, crawledImages } from '@online-cnclip/client';
import { CrawlOutcome, type CrawlRequest, QueryState } from '@online-cnclip/contracts/crawler/v1';
import { buildDataset, writeImagesTsv, writeTextsJsonl } from '@online-cnclip/dataset';
import { releaseArrays } from '@online-cnclip/foundation';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import {
  adapt,
  createTrainStep,
  parseAdaptOptions,
  parseTrainingOptions,
  train,
} from '@online-cnclip/training';
import sharp from 'sharp';
import { serve, TEXT_MODEL, threads, VISION_MODEL } from '../serve.ts';

const BATCH = 16;
const CONTEXT = 24;
/** The first pays for what is prepared, the others count. */
const STEPS = 4;
const CRAWL_MS = 50;

const folder = join(process.env['BENCH_FOLDER'] ?? '.', 'online-step');
const queries = Array.from({ length: BATCH * STEPS }, (_, i) => `第${i}号商品`);
const pictures = await Promise.all(queries.map((_, i) => picture(i)));
const common = { batchSize: BATCH, contextLength: CONTEXT, visionModel: VISION_MODEL, textModel: TEXT_MODEL };
await prepare();

const mode = process.argv[2];
await serve(async () => {
  if (mode === 'uncached') {
    const steps = await onlineSteps(false);
    const sum = (key: 'waitSeconds' | 'stepSeconds') => steps.reduce((total, step) => total + step[key], 0);
    return sum('waitSeconds') / sum('stepSeconds');
  }
  const offline = median((await offlineSteps()).slice(1));
  const online = median((await onlineSteps(true)).map(({ stepSeconds }) => stepSeconds));
  return online / offline;
});

/** As the crawler keeps them. */
function picture(index: number): Promise<Buffer> {
  const background = { r: (index * 37) % 256, g: (index * 71) % 256, b: (index * 113) % 256 };
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  return sharp({ create: { width: 224, height: 224, channels: 3, background, noise } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

async function prepare(): Promise<void> {
  await mkdir(folder, { recursive: true });
  const texts = queries.map((text, i) => ({ textId: i, text, imageIds: [i] }));
  await writeTextsJsonl(join(folder, 'train_texts.jsonl'), texts);
  await writeImagesTsv(
    join(folder, 'train_imgs.tsv'),
    pictures.map((image, imageId) => ({ imageId, image })),
  );
  await buildDataset({ dataDir: folder, splits: ['train'] });
  for (const [i, text] of queries.entries()) {
    await mkdir(join(folder, 'cache/test', text), { recursive: true });
    await writeFile(join(folder, 'cache/test', text, '1.jpg'), pictures[i] as Buffer);
  }
  if (existsSync(join(folder, 'model.pt'))) return;
  const parameters = initializeParameters(resolveModelConfig(VISION_MODEL, TEXT_MODEL), 1);
  await writeCheckpoint(join(folder, 'model.pt'), { epoch: 0, step: 0, name: 'bench', parameters });
  releaseArrays(parameters.values());
}

function ports() {
  return {
    runtime: createOnnxRuntime({ threads, arena: false }),
    createTrainStep,
    recall: { recall: () => Promise.reject(new Error('nothing is ranked')) },
    crawledImages: () => crawledImages(slowCrawler()),
  };
}

async function offlineSteps(): Promise<number[]> {
  const seconds: number[] = [];
  const given = ports();
  const options = parseTrainingOptions({
    ...common,
    trainData: join(folder, 'lmdb/train'),
    logs: 'none',
    maxEpochs: 1,
    logInterval: 1,
    lr: 1e-5,
  });
  await train(options, given, {
    onEvent: (event) => void (event.kind === 'step' && seconds.push(event.stepSeconds)),
  });
  await given.runtime.dispose();
  return seconds;
}

/** The steps but for the first. */
async function onlineSteps(onlineCache: boolean) {
  const steps: { stepSeconds: number; waitSeconds: number }[] = [];
  const stop = new AbortController();
  const given = ports();
  const options = parseAdaptOptions({
    ...common,
    model: join(folder, 'model.pt'),
    queries: join(folder, 'train_texts.jsonl'),
    output: 'none',
    // The last epoch's steps also write features: only those of the first are wanted.
    maxEpochs: 2,
    onlineCache,
    cacheFolder: join(folder, 'cache'),
    crawlerAddress: 'in-this-process:0',
  });
  await adapt(options, given, {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.kind !== 'online-step') return;
      steps.push(event);
      if (steps.length === STEPS) stop.abort();
    },
  });
  await given.runtime.dispose();
  return steps.slice(1);
}

function slowCrawler(): CrawlerClient {
  async function* crawl(requests: AsyncIterable<CrawlRequest>) {
    for await (const { queryId } of requests) {
      await setTimeout(CRAWL_MS);
      const jpeg = pictures[Number(queryId)] as Buffer;
      yield {
        queryId,
        outcome: CrawlOutcome.fromPartial({ state: QueryState.QUERY_STATE_OK, images: [{ jpeg }] }),
      };
    }
  }
  return { crawl, close() {} } as unknown as CrawlerClient;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
