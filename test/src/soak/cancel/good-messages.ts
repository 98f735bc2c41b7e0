import { toVector } from '@online-cnclip/contracts';
import { CrawlRequest } from '@online-cnclip/contracts/crawler/v1';
import {
  EncodeImageRequest,
  EncodeRequest,
  EncodeTextRequest,
  LoadModelRequest,
  TokenizeRequest,
} from '@online-cnclip/contracts/encoder/v1';
import { SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { BuildDatasetRequest } from '@online-cnclip/contracts/trainer/v1';
import { goldenImages, TINY_DIMENSION, TINY_TOWERS } from '../tiny-data.ts';

const TEXTS = Array.from({ length: 256 }, (_, i) => `红色连衣裙 ${i} 男士运动鞋 透气`);
const vector = toVector(Float32Array.from({ length: TINY_DIMENSION }, (_, i) => Math.sin(i)));
const query = { query: { $case: 'vector' as const, value: vector } };
const images = goldenImages();

const all = (message: Uint8Array, count = 1): Buffer[] =>
  Array.from({ length: count }, () => Buffer.from(message));

/** The index that searches and upserts are about. */
export const INDEX = 'cancelled';

/** More than the encoder works on at a time: whoever comes then waits. */
export const LARGE_TEXTS = EncodeTextRequest.encode(
  EncodeTextRequest.fromPartial({ texts: Array.from({ length: 4 }, () => TEXTS).flat() }),
).finish();

/** Requests that take their time, by the names of the methods. The other methods get what the fuzzing makes. */
export const GOOD_MESSAGES: Readonly<Record<string, readonly Buffer[]>> = {
  Tokenize: all(TokenizeRequest.encode(TokenizeRequest.fromPartial({ texts: TEXTS })).finish()),
  EncodeText: all(EncodeTextRequest.encode(EncodeTextRequest.fromPartial({ texts: TEXTS })).finish()),
  EncodeImage: all(EncodeImageRequest.encode(EncodeImageRequest.fromPartial({ images })).finish()),
  Encode: all(
    EncodeRequest.encode(EncodeRequest.fromPartial({ item: { $case: 'text', value: '猫' } })).finish(),
    500,
  ),
  LoadModel: all(
    LoadModelRequest.encode(
      LoadModelRequest.fromPartial({ checkpointPath: 'epoch2.pt', ...TINY_TOWERS }),
    ).finish(),
  ),
  Search: all(
    SearchRequest.encode(
      SearchRequest.fromPartial({
        index: INDEX,
        queries: Array.from({ length: 512 }, () => query),
        topK: 100,
      }),
    ).finish(),
  ),
  UpsertItems: all(
    UpsertItemsRequest.encode(
      UpsertItemsRequest.fromPartial({
        index: INDEX,
        items: Array.from({ length: 512 }, (_, id) => ({
          id: BigInt(id),
          content: { $case: 'vector' as const, value: vector },
        })),
      }),
    ).finish(),
    20,
  ),
  BuildDataset: all(
    BuildDatasetRequest.encode(
      BuildDatasetRequest.fromPartial({
        dataDir: 'datasets/tiny',
        splits: ['train', 'valid'],
        lmdbDir: 'built',
      }),
    ).finish(),
  ),
  Crawl: all(CrawlRequest.encode(CrawlRequest.fromPartial({ query: '红色连衣裙', wanted: 1 })).finish(), 20),
};
