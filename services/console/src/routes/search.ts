import { errorOfItem } from '@online-cnclip/contracts';
import { type Query, SearchRequest } from '@online-cnclip/contracts/ranker/v1';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { MAX_IMAGE_BYTES, MAX_TEXT_LENGTH, MAX_TOP_K } from '../../page/limits.ts';
import type { Clients } from '../clients.ts';
import { parseInput } from '../http/input.ts';
import type { PictureSource } from '../pictures/picture-sources.ts';
import { indexView } from '../views/search-view.ts';
import type { Hit, SearchAnswer, SearchCatalog } from '../wire.ts';
import { loadedModel } from './overview.ts';

const target = {
  index: z.string().min(1),
  topK: z.coerce.number().int().min(1).max(MAX_TOP_K),
};
const textSearch = z.object({ ...target, text: z.string().trim().min(1).max(MAX_TEXT_LENGTH) });
const imageSearch = z.object(target);

type QueryContent = NonNullable<Query['query']>;

export function searchRoutes(app: FastifyInstance, clients: Clients, pictures: PictureSource): void {
  app.addContentTypeParser(
    /^image\//,
    { parseAs: 'buffer', bodyLimit: MAX_IMAGE_BYTES },
    (_request, body, done) => done(null, body),
  );

  app.get('/api/indexes', async (): Promise<SearchCatalog> => {
    const [{ indexes }, model] = await Promise.all([clients.ranker.listIndexes({}), loadedModel(clients)]);
    return { indexes: indexes.map((index) => indexView(index, pictures.knows(index.name))), model };
  });

  app.post('/api/search/text', async ({ body }): Promise<SearchAnswer> => {
    const { text, ...where } = parseInput(textSearch, body);
    return search(clients, pictures, where, { $case: 'text', value: text });
  });

  app.post('/api/search/image', async ({ body, query }): Promise<SearchAnswer> => {
    const where = parseInput(imageSearch, query);
    if (!Buffer.isBuffer(body) || body.length === 0)
      throw new InvalidInputError('is not an image file', { place: 'body' });
    return search(clients, pictures, where, { $case: 'image', value: body });
  });
}

async function search(
  clients: Clients,
  pictures: PictureSource,
  { index: name, topK }: { readonly index: string; readonly topK: number },
  query: QueryContent,
): Promise<SearchAnswer> {
  const startedAt = performance.now();
  const { results } = await clients.ranker.search(
    SearchRequest.fromPartial({ index: name, queries: [{ query }], topK }),
  );
  const milliseconds = performance.now() - startedAt;
  const [result] = results;
  const error = errorOfItem(result?.status);
  if (error) throw error;
  const [{ index }, model] = await Promise.all([clients.ranker.getIndex({ name }), loadedModel(clients)]);
  if (!index) throw new NotFoundError('no such index', { place: name });
  const { ids = [], scores = [] } = result ?? {};
  const hits = ids.map(async (id, i): Promise<Hit> => {
    const picture = (await pictures.has(name, id)) ? `/pictures/${name}/${id}` : null;
    return { id: String(id), score: scores[i] ?? Number.NaN, picture };
  });
  return {
    index: indexView(index, pictures.knows(name)),
    model,
    hits: await Promise.all(hits),
    milliseconds,
  };
}
