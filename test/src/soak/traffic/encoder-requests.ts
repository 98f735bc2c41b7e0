import { join } from 'node:path';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import {
  EncodeImageRequest,
  EncoderServiceService,
  EncodeTextRequest,
} from '@online-cnclip/contracts/encoder/v1';
import { type EncoderModel, loadEncoderModel } from '@online-cnclip/encoding';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { Chance } from '../chance.ts';
import type { Children, ServiceProcess } from '../children.ts';
import { goldenImages, TINY_TOWERS, writeTinyCheckpoint } from '../tiny-data.ts';
import type { PlannedRequest } from './plan.ts';

const vectorFormat = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;
const CONTEXT_LENGTH = 24;
const CHECKPOINT = 'epoch1.pt';

const WORDS = [
  '红色',
  '连衣裙',
  '男士',
  '运动鞋',
  '透气',
  '儿童',
  '积木',
  '保温杯',
  '500ml',
  '蓝牙',
  '耳机',
  '真皮',
];

/** An encoder with the tiny model in a process of its own, on one thread so that a core is left for who calls it. */
export async function startTinyEncoder(
  children: Children,
  folder: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<ServiceProcess> {
  await writeTinyCheckpoint(join(folder, CHECKPOINT), 1);
  const { visionModel, textModel } = TINY_TOWERS;
  return children.startService('encoder', {
    logPath: join(folder, 'encoder.log'),
    environment,
    flags: [
      ...[
        '--data-folder',
        folder,
        '--checkpoint',
        CHECKPOINT,
        '--compute-threads',
        '1',
        '--decode-threads',
        '1',
      ],
      ...[
        '--vision-model',
        visionModel,
        '--text-model',
        textModel,
        '--context-length',
        String(CONTEXT_LENGTH),
      ],
    ],
  });
}

/** The same model in this process. */
export const loadTinyModel = (folder: string): Promise<EncoderModel> =>
  loadEncoderModel({
    ...TINY_TOWERS,
    path: join(folder, CHECKPOINT),
    contextLength: CONTEXT_LENGTH,
    createRuntime: () => createOnnxRuntime({ threads: 1 }),
  });

/** Requests of random queries, and what the model in this process answers to them. */
export async function planTexts(
  model: EncoderModel,
  seed: number,
  count: number,
  textsPerCall: readonly number[],
): Promise<PlannedRequest[]> {
  const requests: PlannedRequest[] = [];
  for (let request = 0; request < count; request++) {
    const chance = new Chance(seed, request);
    const texts = Array.from({ length: chance.one(textsPerCall) }, () =>
      Array.from({ length: chance.one([1, 2, 3, 4]) }, () => chance.one(WORDS)).join(' '),
    );
    const message = EncodeTextRequest.encode({ texts, vectorFormat }).finish();
    requests.push(
      plannedRequest(EncoderServiceService.encodeText.path, message, await model.encodeTexts(texts)),
    );
  }
  return requests;
}

/** One request per image of the golden data set. */
export async function planImages(model: EncoderModel): Promise<PlannedRequest[]> {
  const requests: PlannedRequest[] = [];
  for (const image of goldenImages()) {
    const message = EncodeImageRequest.encode({ images: [image], vectorFormat }).finish();
    const path = EncoderServiceService.encodeImage.path;
    requests.push(plannedRequest(path, message, await model.encodeImages([image])));
  }
  return requests;
}

type Outcomes = Awaited<ReturnType<EncoderModel['encodeTexts']>>;

function plannedRequest(path: string, message: Uint8Array, outcomes: Outcomes): PlannedRequest {
  const expected = outcomes.map((outcome) => {
    if (!outcome.ok) throw outcome.error;
    const { buffer, byteOffset, byteLength } = outcome.value;
    return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  });
  return { path, message: Buffer.from(message).toString('base64'), expected };
}
