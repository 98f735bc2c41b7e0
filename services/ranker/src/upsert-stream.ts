import { requireBatchSize } from '@online-cnclip/contracts';
import type { ItemResult, UpsertItemsRequest, UpsertItemsResponse } from '@online-cnclip/contracts/ranker/v1';
import { InvalidInputError } from '@online-cnclip/foundation';
import {
  type IndexCatalog,
  type QueryEncoder,
  upsertContents,
  type VectorIndex,
} from '@online-cnclip/retrieval';
import type { CallContext } from '@online-cnclip/service-kit';
import { fromItem, toIndexMessage, toItemResult } from './messages.ts';

/** Refused items that a response names; a stream may hold millions. */
const MAX_FAILURES = 1_000;

/** Applies each message as it arrives, so that what came before a broken stream stays. */
export async function upsertStream(
  requests: AsyncIterable<UpsertItemsRequest>,
  catalog: IndexCatalog,
  encoder: QueryEncoder,
  context: CallContext,
): Promise<UpsertItemsResponse> {
  let name = '';
  let target: VectorIndex | undefined;
  let upserted = 0n;
  let refused = 0n;
  const failures: ItemResult[] = [];
  for await (const { index, items, modelFingerprint } of requests) {
    name = continuedName(name, index);
    requireBatchSize(items.length, 'items');
    // Looked up for each message: the index may be dropped while the stream is open. An alias is followed once: a stream
    // fills one index, even when the alias is moved meanwhile.
    target = await catalog.get(target?.name ?? name);
    const outcomes = await upsertContents(target, items.map(fromItem), encoder, {
      ...context,
      vectorFingerprint: modelFingerprint || undefined,
    });
    for (const [position, outcome] of outcomes.entries()) {
      if (outcome.ok) {
        upserted++;
        continue;
      }
      refused++;
      if (failures.length < MAX_FAILURES)
        failures.push(toItemResult(items[position]?.id ?? 0n, outcome.error, context));
    }
  }
  if (!target) throw new InvalidInputError('the stream held no message', { place: 'index' });
  return { upserted, refused, failures, index: await toIndexMessage(target, await catalog.aliases()) };
}

function continuedName(name: string, index: string): string {
  if (name === '' && index === '')
    throw new InvalidInputError('is needed in the first message', { place: 'index' });
  if (name !== '' && index !== '' && index !== name)
    throw new InvalidInputError(`${JSON.stringify(index)} is not ${name}, which the stream began with`, {
      place: 'index',
    });
  return name || index;
}
