import type { CallOptions, EncoderClient } from '@online-cnclip/client';
import { errorOfItem, fromVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import type { Embedding } from '@online-cnclip/contracts/encoder/v1';
import { DataLossError } from '@online-cnclip/foundation';
import {
  type Encoded,
  type EncodeOptions,
  type Outcome,
  outcomeOf,
  type QueryEncoder,
} from '@online-cnclip/retrieval';

const vectorFormat = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;

/** The encoder service as the port that retrieval asks for. */
export function createGrpcQueryEncoder(client: EncoderClient): QueryEncoder {
  return {
    async describeModel(options) {
      const { model } = await client.getModel({}, callOptions(options));
      if (!model) throw new DataLossError('the encoder described no model');
      return { dimension: model.embeddingDimension, fingerprint: model.fingerprint };
    },
    async encodeTexts(texts, options) {
      const request = { texts: [...texts], vectorFormat };
      return toEncoded(await client.encodeText(request, callOptions(options)), texts.length);
    },
    async encodeImages(images, options) {
      const request = { images: images.map(asBuffer), vectorFormat };
      return toEncoded(await client.encodeImage(request, callOptions(options)), images.length);
    },
  };
}

const callOptions = ({ signal, deadline, requestId }: EncodeOptions = {}): CallOptions => ({
  signal,
  deadline,
  ...(requestId !== undefined && { requestId }),
});

function toEncoded(
  { embeddings, modelFingerprint }: { readonly embeddings: Embedding[]; readonly modelFingerprint: string },
  count: number,
): Encoded {
  if (embeddings.length !== count)
    throw new DataLossError(`the encoder answered ${embeddings.length} of ${count} items`);
  return { fingerprint: modelFingerprint, vectors: embeddings.map(toOutcome) };
}

function toOutcome({ status, vector }: Embedding): Outcome<Float32Array> {
  const error = errorOfItem(status);
  if (error) return { ok: false, error };
  if (!vector) return { ok: false, error: new DataLossError('the encoder gave no vector') };
  return outcomeOf(() => fromVector(vector, 'the encoder'));
}

/** A Buffer over the same memory: the generated code wants one. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
