import { NotFoundError } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseInput } from '../http/input.ts';
import { INDEX_NAME, type PictureSource } from '../pictures/picture-sources.ts';

const params = z.object({
  index: z.string().regex(INDEX_NAME),
  id: z
    .string()
    .regex(/^-?\d{1,19}$/)
    .transform(BigInt),
});

/** An SVG may hold scripts and links: opened on its own it is a document without rights. */
const PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/** A gallery may be filled anew under the same ids; a minute spares a grid's repetitions. */
const CACHE_CONTROL = 'private, max-age=60';

export function pictureRoutes(app: FastifyInstance, pictures: PictureSource): void {
  app.get('/pictures/:index/:id', async (request, reply) => {
    const { index, id } = parseInput(params, request.params);
    const picture = await pictures.read(index, id);
    if (!picture) throw new NotFoundError('no picture', { place: `${index}/${id}` });
    return reply
      .header('content-security-policy', PICTURE_POLICY)
      .header('cache-control', CACHE_CONTROL)
      .type(picture.mediaType)
      .send(picture.bytes);
  });
}
