// Embeds a small gallery, makes an index of it, searches it, and gives it the name that searches use.
// node docs/examples/search.ts 127.0.0.1:50051 127.0.0.1:50053
import { createEncoderClient, createRankerClient } from '@online-cnclip/client';
import { errorOfItem, fromVector, toVector } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { SearchRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';

const [encoderAddress = '127.0.0.1:50051', rankerAddress = '127.0.0.1:50053'] = process.argv.slice(2);
const encoder = createEncoderClient(encoderAddress);
const ranker = createRankerClient(rankerAddress);
const index = `example-${Date.now()}`;
const gallery = ['红色连衣裙', '黑色运动鞋', '儿童雨伞'];

try {
  const vectorFormat = VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN;
  const { embeddings, modelFingerprint } = await encoder.encodeText({ texts: gallery, vectorFormat });
  // dimension 0: that of the encoder's model.
  await ranker.createIndex({ name: index, dimension: 0, modelFingerprint });
  const items = embeddings.map(({ status, vector }, i) => {
    const error = errorOfItem(status);
    if (error || !vector) throw error ?? new Error('no vector');
    const value = toVector(fromVector(vector, 'the encoder'));
    return { id: BigInt(i), content: { $case: 'vector' as const, value } };
  });
  const { upserted } = await ranker.upsertItems([
    UpsertItemsRequest.fromPartial({ index, items, modelFingerprint }),
  ]);
  await ranker.setAlias({ alias: 'example-live', index });
  const { results } = await ranker.search(
    SearchRequest.fromPartial({
      index: 'example-live',
      queries: gallery.map((value) => ({ query: { $case: 'text', value } })),
      topK: 1,
    }),
    { timeoutMs: 10_000, requestId: 'example-search' },
  );
  for (const [i, { ids, scores }] of results.entries())
    console.log(`${gallery[i]}: ${gallery[Number(ids[0])]} (${scores[0]?.toFixed(3)}) of ${upserted}`);
} finally {
  await ranker.dropAlias({ alias: 'example-live' }).catch(() => {});
  await ranker.dropIndex({ name: index }).catch(() => {});
  encoder.close();
  ranker.close();
}
