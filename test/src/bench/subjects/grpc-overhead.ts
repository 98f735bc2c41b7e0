// The same images through EncoderService over loopback gRPC and through the encoding stage in this process, in turn:
// the ratio of the two rates. ViT-B-16, JPEGs as a client would send them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { createEncoderClient } from '@online-cnclip/client';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { loadEncoderModel } from '@online-cnclip/encoding';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { folder, rateOf, serve, TEXT_MODEL, threads, VISION_MODEL } from '../serve.ts';
import { writePhotos } from '../work/photos.ts';

const images = await writePhotos(join(folder, 'photos'));
const path = join(folder, 'random.pt');
const config = resolveModelConfig(VISION_MODEL, TEXT_MODEL);
await writeCheckpoint(path, { parameters: initializeParameters(config, 1) });

const main = fileURLToPath(new URL('../../../../services/encoder/src/main.ts', import.meta.url));
const flags = ['--listen-address', '127.0.0.1:0', '--metrics-address', 'off', '--data-folder', folder];
const service = spawn(process.execPath, [main, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
const [ready] = (await once(createInterface(service.stdout), 'line')) as [string];
const client = createEncoderClient((JSON.parse(ready) as { address: string }).address);
await client.loadModel({
  checkpointPath: 'random.pt',
  visionModel: VISION_MODEL,
  textModel: TEXT_MODEL,
  contextLength: 52,
});
const local = await loadEncoderModel({
  path,
  visionModel: VISION_MODEL,
  textModel: TEXT_MODEL,
  contextLength: 52,
  createRuntime: () => createOnnxRuntime({ threads }),
});

const remote = () => client.encodeImage({ images, vectorFormat: VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN });
await serve(
  async () => {
    const inProcess = await rateOf(images.length, () => local.encodeImages(images));
    return (await rateOf(images.length, remote)) / inProcess;
  },
  async () => {
    client.close();
    service.kill('SIGTERM');
    await once(service, 'exit');
  },
);
