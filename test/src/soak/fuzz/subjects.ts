import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { createHealthClient } from '@online-cnclip/client';
import { missingGloo } from '@online-cnclip/collectives';
import sharp from 'sharp';
import { type Children, type ServiceName, type ServiceProcess, SMALL_HEAP } from '../children.ts';
import { copyTinyDataset, TINY_DIMENSION, TINY_TOWERS, writeTinyCheckpoint } from '../tiny-data.ts';
import type { Known } from './values.ts';

/** A service under test. */
export interface Subject {
  readonly label: string;
  /** Of gRPC: `EncoderService`. */
  readonly services: readonly string[];
  /** Methods that would change what the subject is for. */
  readonly without: readonly string[];
  readonly process: ServiceProcess;
  readonly client: Client;
  /** How it ended; undefined while it runs. */
  readonly end: () => string | undefined;
  /** Whether its own health check says that it serves. */
  readonly isServing: () => Promise<boolean>;
}

/** Data that requests can name, beside what they must not reach. */
export async function makeData(folder: string): Promise<{ dataFolder: string; known: Known }> {
  const dataFolder = join(folder, 'data');
  const outside = join(folder, 'outside');
  for (const path of [dataFolder, outside]) mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, 'secret'), 'secret');
  symlinkSync(outside, join(dataFolder, 'link-out'));
  execFileSync('mkfifo', [join(dataFolder, 'pipe')]);
  await writeTinyCheckpoint(join(dataFolder, 'epoch1.pt'), 1);
  await writeTinyCheckpoint(join(dataFolder, 'epoch2.pt'), 2);
  writeFileSync(join(dataFolder, 'damaged.pt'), 'PK\x03\x04 no archive');
  copyTinyDataset(dataFolder, 'tiny', ['train', 'valid']);
  const ranking = { query_id: 1, item_ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] };
  writeFileSync(join(dataFolder, 'predictions.jsonl'), `${JSON.stringify(ranking)}\n`);
  writeFileSync(join(dataFolder, 'reference.jsonl'), `${JSON.stringify({ text_id: 1, image_ids: [1] })}\n`);
  return { dataFolder, known: await knowledge() };
}

async function knowledge(): Promise<Known> {
  const picture = sharp({ create: { width: 40, height: 30, channels: 3, background: '#a03060' } });
  const [png, jpeg, webp, gif] = await Promise.all([
    picture.clone().png().toBuffer(),
    picture.clone().jpeg().toBuffer(),
    picture.clone().webp().toBuffer(),
    picture.clone().gif().toBuffer(),
  ]);
  const vector = Buffer.from(Float32Array.from({ length: TINY_DIMENSION }, (_, i) => Math.sin(i)).buffer);
  return {
    images: [png, jpeg, webp, gif, vector],
    texts: {
      name: ['live', 'next', 'run', 'fuzz'],
      index: ['live', 'live', 'next'],
      checkpoint_path: ['epoch1.pt', 'epoch2.pt', 'damaged.pt', 'pipe', 'none.pt'],
      vision_model: [TINY_TOWERS.visionModel, TINY_TOWERS.visionModel, '', 'RN50'],
      text_model: [TINY_TOWERS.textModel, TINY_TOWERS.textModel, '', 'RBT3-chinese'],
      path: ['predictions.jsonl', 'reference.jsonl', 'epoch1.pt', 'none.npy'],
      data_dir: ['datasets/tiny', 'datasets/none', 'datasets'],
      splits: ['train', 'valid', 'none'],
      lmdb_dir: ['', 'built'],
      train_data: ['datasets/tiny/lmdb/none', 'datasets/tiny'],
      val_data: ['datasets/tiny/lmdb/valid'],
      gate_data: ['datasets/tiny/lmdb/valid'],
      model: ['none.pt', 'damaged.pt'],
      queries: ['reference.jsonl', 'none.jsonl'],
      query: ['红色连衣裙', '杯子'],
      run: ['run'],
    },
  };
}

/** @param more flags of every service. */
export async function startSubjects(
  children: Children,
  folder: string,
  dataFolder: string,
  more: readonly string[] = [],
): Promise<Subject[]> {
  const start = async (
    label: string,
    name: ServiceName,
    services: readonly string[],
    flags: readonly string[],
    without: readonly string[] = [],
  ): Promise<Subject> => {
    const logPath = join(folder, `${label}.log`);
    const process = await children.startService(name, {
      flags: [...flags, ...more],
      logPath,
      environment: SMALL_HEAP,
    });
    const health = createHealthClient(process.address);
    return {
      label,
      services,
      without,
      process,
      client: new Client(process.address, credentials.createInsecure()),
      end: () => {
        const { exitCode, signalCode } = process.child;
        return exitCode === null && signalCode === null ? undefined : `${signalCode ?? `status ${exitCode}`}`;
      },
      isServing: () => health.isServing(),
    };
  };
  const data = ['--data-folder', dataFolder];
  const towers = ['--vision-model', TINY_TOWERS.visionModel, '--text-model', TINY_TOWERS.textModel];
  const model = ['--checkpoint', 'epoch1.pt', ...towers, '--context-length', '12', '--compute-threads', '1'];
  const own = (name: string) => ['--data-folder', join(folder, name)];
  const encoder = await start('encoder', 'encoder', ['EncoderService'], [...data, ...model]);
  const encoderAddress = ['--encoder-address', encoder.process.address];
  return Promise.all([
    encoder,
    start('encoder-without-model', 'encoder', ['EncoderService'], data, ['LoadModel']),
    start('ranker', 'ranker', ['RankerService'], [...data, ...encoderAddress]),
    // Replica 0 of two has the replicas' service too; without Gloo there are no replicas.
    missingGloo() === undefined
      ? start(
          'trainer',
          'trainer',
          ['TrainerService', 'ReplicaService'],
          [...data, ...encoderAddress, '--threads', '1', '--world-size', '2', '--rank', '0'],
        )
      : start('trainer', 'trainer', ['TrainerService'], [...data, ...encoderAddress, '--threads', '1']),
    // A browser would only make it slow: what a browser does is no matter of bad requests.
    start(
      'crawler',
      'crawler',
      ['CrawlerService'],
      [
        ...own('crawler'),
        '--browser-path',
        '/nonexistent/chromium',
        '--session-wait-ms',
        '50',
        '--retry-ms',
        '10',
      ],
    ),
  ]);
}
