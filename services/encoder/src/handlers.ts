import { MAX_BATCH_ITEMS, requireBatchSize, toVector } from '@online-cnclip/contracts';
import type { VectorFormat } from '@online-cnclip/contracts/common/v1';
import type {
  Embedding,
  EncodeRequest,
  EncodeResponse,
  EncoderServiceService,
  Limits,
  Model,
  TokenizedText,
} from '@online-cnclip/contracts/encoder/v1';
import {
  type EncoderModel,
  type LoadedModel,
  MAX_TEXT_LENGTH,
  type ModelHost,
  type Outcome,
} from '@online-cnclip/encoding';
import { InvalidInputError } from '@online-cnclip/foundation';
import { type CallContext, type Handlers, itemStatus } from '@online-cnclip/service-kit';
import { mapUnordered } from './unordered.ts';

/** Items of one stream in work: as many texts as the queue picks batches of alike length from. */
const MAX_STREAM_ITEMS = 256;

/** Image files of one stream in work; several streams of large images fit in the queue side by side. */
const MAX_STREAM_BYTES = 32 * 1024 * 1024;

const STREAM_LIMITS = {
  maxItems: MAX_STREAM_ITEMS,
  maxCost: MAX_STREAM_BYTES,
  costOf: ({ item }: EncodeRequest) => (item?.$case === 'image' ? item.value.byteLength : 0),
};

export interface HandlerOptions {
  readonly host: ModelHost;
  /** As configured where the messages and the images are read; told to clients by GetModel. */
  readonly limits: {
    readonly maxMessageBytes: number;
    readonly maxImageBytes: number;
    readonly maxImagePixels: number;
  };
}

/** EncoderService over a model host: proto to domain and back, nothing else. */
export function createHandlers({ host, limits }: HandlerOptions): Handlers<typeof EncoderServiceService> {
  return {
    getModel: async () => ({ model: toModel(host.current), limits: toLimits(limits) }),

    tokenize: async ({ texts, contextLength }, context) => {
      requireBatchSize(texts.length, 'texts');
      return host.use(async (model) => {
        const length = contextLength || model.description.contextLength;
        const outcomes = await model.tokenize(texts, length, context.signal);
        return { texts: outcomes.map((outcome) => toTokenizedText(outcome, length, context)) };
      });
    },

    encodeText: async ({ texts, vectorFormat }, context) => {
      requireBatchSize(texts.length, 'texts');
      return host.use(async (model) =>
        toResponse(model, await model.encodeTexts(texts, context.signal), vectorFormat, context),
      );
    },

    encodeImage: async ({ images, vectorFormat }, context) => {
      requireBatchSize(images.length, 'images');
      return host.use(async (model) =>
        toResponse(model, await model.encodeImages(images, context.signal), vectorFormat, context),
      );
    },

    encode: async function* (requests, context) {
      // Said at once, not with the first item.
      host.current;
      yield* mapUnordered(requests, STREAM_LIMITS, (request) => encodeItem(host, request, context));
    },

    loadModel: async (request, { signal }) => ({ model: toModel(await host.load(request, signal)) }),
  };
}

async function encodeItem(
  host: ModelHost,
  request: EncodeRequest,
  context: CallContext,
): Promise<EncodeResponse> {
  const { itemId, item, vectorFormat } = request;
  return host.use(async (model) => {
    const outcome = await encodeOne(model, item, context.signal);
    // A result that its reader does not take is bounded by the stream's own limits, and holds up nobody else.
    context.release(request);
    return {
      itemId,
      embedding: toEmbedding(outcome, vectorFormat, context),
      modelFingerprint: model.description.fingerprint,
    };
  });
}

/** A stream's item alone: what would fail a whole unary call (a full queue) concerns this item only. */
async function encodeOne(
  model: EncoderModel,
  item: EncodeRequest['item'],
  signal: AbortSignal,
): Promise<Outcome<Float32Array>> {
  if (!item)
    return { ok: false, error: new InvalidInputError('neither text nor image is set', { place: 'item' }) };
  try {
    const [outcome] =
      item.$case === 'text'
        ? await model.encodeTexts([item.value], signal)
        : await model.encodeImages([item.value], signal);
    return outcome as Outcome<Float32Array>;
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, error: error as Error };
  }
}

function toResponse(
  model: EncoderModel,
  outcomes: readonly Outcome<Float32Array>[],
  format: VectorFormat,
  context: CallContext,
): { embeddings: Embedding[]; modelFingerprint: string } {
  return {
    embeddings: outcomes.map((outcome) => toEmbedding(outcome, format, context)),
    modelFingerprint: model.description.fingerprint,
  };
}

function toEmbedding(outcome: Outcome<Float32Array>, format: VectorFormat, context: CallContext): Embedding {
  return outcome.ok
    ? { status: itemStatus(undefined, context), vector: toVector(outcome.value, format) }
    : { status: itemStatus(outcome.error, context), vector: undefined };
}

function toTokenizedText(
  outcome: Outcome<Int32Array>,
  contextLength: number,
  context: CallContext,
): TokenizedText {
  if (!outcome.ok) return { status: itemStatus(outcome.error, context), ids: [], length: 0 };
  const padding = new Array<number>(contextLength - outcome.value.length).fill(0);
  return {
    status: itemStatus(undefined, context),
    ids: [...outcome.value, ...padding],
    length: outcome.value.length,
  };
}

function toModel({ model, loadedAt }: LoadedModel): Model {
  const { vocabularySize: _, ...description } = model.description;
  return { ...description, loadTime: loadedAt };
}

function toLimits({ maxMessageBytes, maxImageBytes, maxImagePixels }: HandlerOptions['limits']): Limits {
  return {
    maxBatchItems: MAX_BATCH_ITEMS,
    maxMessageBytes: BigInt(maxMessageBytes),
    maxTextLength: MAX_TEXT_LENGTH,
    maxImageBytes: BigInt(maxImageBytes),
    maxImagePixels: BigInt(maxImagePixels),
  };
}
