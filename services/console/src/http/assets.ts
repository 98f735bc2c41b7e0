import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataLossError, messageOf } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { preferredLanguage } from './language.ts';

const PAGE_FOLDER = fileURLToPath(new URL('../../page', import.meta.url));

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  // Served as the JavaScript that is left when its types are gone.
  '.ts': 'text/javascript; charset=utf-8',
};

export interface Asset {
  readonly body: string;
  readonly mediaType: string;
  readonly etag: string;
}

/**
 * Everything the page consists of, by its path: the files of `page/` under `/`, and uPlot under `/vendor/`. TypeScript loses
 * its types here, position by position, so that the browser shows errors at the lines of the source.
 *
 * @throws DataLossError naming a file that cannot be read or stripped.
 */
export function loadAssets(): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const name of globSync('**/*.{html,css,svg,ts}', { cwd: PAGE_FOLDER }))
    if (!name.endsWith('.d.ts')) assets.set(`/${name}`, readAsset(join(PAGE_FOLDER, name)));
  const uplot = fileURLToPath(import.meta.resolve('uplot'));
  assets.set('/vendor/uplot.js', readAsset(uplot.replace(/[^/]+$/, 'uPlot.esm.js')));
  assets.set('/vendor/uplot.css', readAsset(uplot.replace(/[^/]+$/, 'uPlot.min.css')));
  return assets;
}

function readAsset(path: string): Asset {
  try {
    const source = readFileSync(path, 'utf8');
    const body = extname(path) === '.ts' ? stripTypeScriptTypes(source) : source;
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
    return { body, etag, mediaType: MEDIA_TYPES[extname(path)] ?? 'application/octet-stream' };
  } catch (cause) {
    throw new DataLossError(`cannot be served: ${messageOf(cause)}`, { place: path, cause });
  }
}

/** Serves the page at `/` in the reader's language, and its parts. Nothing but what was loaded can be asked for. */
export function serveAssets(app: FastifyInstance, assets: ReadonlyMap<string, Asset>): void {
  const page = assets.get('/index.html');
  if (!page) throw new DataLossError('is missing', { place: join(PAGE_FOLDER, 'index.html') });
  app.get('/', (request, reply) =>
    reply
      .type(page.mediaType)
      .header('vary', 'accept-language')
      .header('cache-control', 'no-cache')
      .send(
        page.body.replace('lang="en"', `lang="${preferredLanguage(request.headers['accept-language'])}"`),
      ),
  );
  for (const [path, asset] of assets)
    if (asset !== page)
      app.get(path, (request, reply) => {
        reply.header('etag', asset.etag).header('cache-control', 'no-cache');
        if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
        return reply.type(asset.mediaType).send(asset.body);
      });
}
