// A process: the encoder with a model that computes nothing, or a bare grpc-js server that answers the same messages.
// Prints its address; at each line of its input the CPU time it has used.
import { once } from 'node:events';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { ITEM_OK, toVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { EncoderServiceService, type EncodeTextRequest } from '@online-cnclip/contracts/encoder/v1';
import { createHandlers, encoderCosts } from '@online-cnclip/encoder';
import { ModelHost } from '@online-cnclip/encoding';
import { createFakeModel } from '@online-cnclip/encoding/testing';
import { silentLogger } from '@online-cnclip/foundation';
import { createService, implement } from '@online-cnclip/service-kit';

const DIMENSION = 4;

async function serveShell(): Promise<string> {
  const host = new ModelHost({
    // Any file there is: nothing is read of it.
    dataFolder: import.meta.dirname,
    contextLength: 52,
    load: async () => createFakeModel().model,
    logger: silentLogger,
  });
  await host.load({ checkpointPath: basename(import.meta.filename), visionModel: 'fake', textModel: 'fake' });
  const limits = { maxMessageBytes: 1, maxImageBytes: 1, maxImagePixels: 1 };
  const service = createService({
    name: 'encoder',
    implementations: [implement(EncoderServiceService, createHandlers({ host, limits }), encoderCosts(host))],
    logger: silentLogger,
  });
  return service.listen('127.0.0.1:0');
}

async function serveEcho(): Promise<string> {
  const vector = toVector(new Float32Array(DIMENSION).fill(0.5), VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN);
  const server = new Server();
  server.addService({ encodeText: EncoderServiceService.encodeText } as never, {
    encodeText: (call: { request: EncodeTextRequest }, callback: sendUnaryData<unknown>) =>
      callback(null, {
        embeddings: call.request.texts.map(() => ({ status: ITEM_OK, vector })),
        modelFingerprint: 'f'.repeat(64),
      }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return `127.0.0.1:${port}`;
}

const address = process.argv[2] === 'echo' ? await serveEcho() : await serveShell();
console.log(JSON.stringify({ address }));
const input = createInterface(process.stdin);
input.on('line', () => {
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ cpuSeconds: (user + system) / 1e6 }));
});
await once(input, 'close');
process.exit(0);
