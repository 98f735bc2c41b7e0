import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createEncoderClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import type { VectorFormat } from '@online-cnclip/contracts/common/v1';
import {
  type Embedding,
  type EncodeImageRequest,
  EncoderServiceService,
  type EncodeTextRequest,
  GetModelResponse,
} from '@online-cnclip/contracts/encoder/v1';
import {
  FailedPreconditionError,
  InvalidInputError,
  silentLogger,
  UnavailableError,
} from '@online-cnclip/foundation';
import {
  type CallContext,
  createService,
  type Handlers,
  implement,
  itemStatus,
} from '@online-cnclip/service-kit';
import { createGrpcQueryEncoder } from './grpc-query-encoder.ts';

const unused = async (): Promise<never> => {
  throw new Error('not part of this test');
};

/** An encoder service on a real socket that embeds by length. */
async function serve(context: TestContext, handlers: Partial<Handlers<typeof EncoderServiceService>> = {}) {
  const requestIds: string[] = [];
  const embed = (lengths: number[], format: VectorFormat, call: CallContext): Embedding[] => {
    requestIds.push(call.requestId);
    return lengths.map((length) =>
      length === 0
        ? { status: itemStatus(new InvalidInputError('is empty'), call), vector: undefined }
        : { status: itemStatus(undefined, call), vector: toVector(Float32Array.of(length, 0.5), format) },
    );
  };
  const all: Handlers<typeof EncoderServiceService> = {
    getModel: async () =>
      GetModelResponse.fromPartial({ model: { embeddingDimension: 2, fingerprint: 'abc' } }),
    encodeText: async ({ texts, vectorFormat }: EncodeTextRequest, call) => ({
      embeddings: embed(
        texts.map((text) => text.length),
        vectorFormat,
        call,
      ),
      modelFingerprint: 'abc',
    }),
    encodeImage: async ({ images, vectorFormat }: EncodeImageRequest, call) => ({
      embeddings: embed(
        images.map((image) => image.length),
        vectorFormat,
        call,
      ),
      modelFingerprint: 'abc',
    }),
    tokenize: unused,
    loadModel: unused,
    // biome-ignore lint/correctness/useYield: a stream that fails at once
    encode: async function* () {
      await unused();
    },
    ...handlers,
  };
  const service = createService({
    name: 'encoder',
    implementations: [implement(EncoderServiceService, all)],
    logger: silentLogger,
    drainTimeoutMs: 100,
  });
  const client = createEncoderClient(await service.listen('127.0.0.1:0'));
  context.after(async () => {
    client.close();
    await service.close();
  });
  return { encoder: createGrpcQueryEncoder(client), requestIds, service };
}

test('the model, texts and images', async (context) => {
  const { encoder, requestIds } = await serve(context);
  assert.deepEqual(await encoder.describeModel(), { dimension: 2, fingerprint: 'abc' });
  const options = {
    requestId: 'r-1',
    signal: AbortSignal.timeout(10_000),
    deadline: new Date(Date.now() + 10_000),
  };
  const texts = await encoder.encodeTexts(['猫', '', 'abc'], options);
  assert.equal(texts.fingerprint, 'abc');
  const [first, second, third] = texts.vectors;
  assert.deepEqual(
    [first, third],
    [
      { ok: true, value: Float32Array.of(1, 0.5) },
      { ok: true, value: Float32Array.of(3, 0.5) },
    ],
  );
  assert.ok(second && !second.ok && second.error instanceof InvalidInputError);
  const images = await encoder.encodeImages([new Uint8Array(8).subarray(2, 6)], options);
  assert.deepEqual(images.vectors, [{ ok: true, value: Float32Array.of(4, 0.5) }]);
  assert.deepEqual(requestIds, ['r-1', 'r-1']);
});

test("the encoder's errors keep their class", async (context) => {
  const failing = async () => {
    throw new FailedPreconditionError('no model is loaded');
  };
  const { encoder, service } = await serve(context, {
    getModel: failing,
    encodeText: failing,
    encodeImage: async () => ({ embeddings: [], modelFingerprint: '' }),
  });
  await assert.rejects(encoder.describeModel(), FailedPreconditionError);
  await assert.rejects(encoder.encodeTexts(['a']), FailedPreconditionError);
  await assert.rejects(encoder.encodeImages([Buffer.alloc(1)]), /answered 0 of 1 items/);
  await service.close();
  await assert.rejects(encoder.encodeTexts(['a']), UnavailableError);
});
