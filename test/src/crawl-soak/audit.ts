import { createHash } from 'node:crypto';
import { type CrawlOutcome, QueryState } from '@online-cnclip/contracts/crawler/v1';
import type { RecordedRequest } from '@online-cnclip/fixture-shop';
import { openImageCache, type StoredImage } from '@online-cnclip/image-cache';
import sharp from 'sharp';
import type { ShopControl } from './shop-control.ts';

export interface Audit extends ShopAudit, CacheAudit {}

interface ShopAudit {
  readonly searches: number;
  /** Searches that came too soon, after the last of their session or within a window of the whole site. */
  readonly rateBreaches: number;
  /** The first of them, for a person. */
  readonly breaches: readonly string[];
  /** Requests that the browser sent again by itself, after their connection was reset. */
  readonly resent: number;
  /** Keys and clicks on pages that ask for a person. */
  readonly challengeInputs: number;
}

interface CacheAudit {
  readonly images: number;
  /** Images that are not what the shop has at their address, or no 224 x 224 JPEG. */
  readonly wrongImages: number;
  /** Queries that were answered and are not, or not so, in the cache. */
  readonly lost: number;
  /** Queries whose end was noted more than once. */
  readonly doneTwice: number;
}

/** The shop counts by its clock, when a request arrives: what a busy machine's scheduler takes. */
const TOLERANCE_MS = 50;

const WINDOW_MS = 5_000;

const SHOWN_BREACHES = 10;

/** By the shop's own log. */
export async function auditShop(
  shop: ShopControl,
  { queryIntervalMs, sessions }: { readonly queryIntervalMs: number; readonly sessions: number },
): Promise<ShopAudit> {
  const searches = (await shop.requests()).filter(({ path }) => path.startsWith('/search?'));
  const { reset = 0 } = await shop.faultHits();
  const bySession = [...Map.groupBy(searches, ({ session }) => session).values()];
  const closer = bySession.flatMap((own) => findCloser(own, queryIntervalMs - TOLERANCE_MS));
  // Chromium sends a request again by itself whose connection, used before, was reset under it.
  const resent = closer.filter(({ isSame }) => isSame).slice(0, reset);
  const breaches = closer.filter((each) => !resent.includes(each)).map(({ text }) => text);
  // Each session may have one search on its way when the window begins.
  breaches.push(...findFuller(searches, WINDOW_MS / queryIntervalMs + sessions + 1));
  return {
    searches: searches.length,
    rateBreaches: breaches.length,
    breaches: breaches.slice(0, SHOWN_BREACHES),
    resent: resent.length,
    challengeInputs: (await shop.inputs()).length,
  };
}

interface Closer {
  readonly text: string;
  /** Whether it is the very request again. */
  readonly isSame: boolean;
}

function findCloser(searches: readonly RecordedRequest[], leastMs: number): Closer[] {
  return searches.slice(1).flatMap(({ at, path, session }, i) => {
    const before = searches[i];
    if (!before || at - before.at >= leastMs) return [];
    const text = `${session}: ${path} ${at - before.at} ms after ${before.path}`;
    return [{ text, isSame: path === before.path }];
  });
}

/** Windows, each from one search on, that hold more searches than they may. */
function findFuller(searches: readonly RecordedRequest[], most: number): string[] {
  const found: string[] = [];
  for (let first = 0, next = 0; first < searches.length; first += 1) {
    const start = searches[first]?.at ?? 0;
    while (next < searches.length && (searches[next]?.at ?? 0) < start + WINDOW_MS) next += 1;
    if (next - first > most) found.push(`${next - first} searches in ${WINDOW_MS} ms`);
  }
  return found;
}

/** Against what clients were told, and what the shop really has. */
export async function auditCache(
  folder: string,
  answers: ReadonlyMap<string, CrawlOutcome>,
  shop: ShopControl,
): Promise<CacheAudit> {
  const cache = openImageCache(folder, { readOnly: true });
  const audit = { images: 0, wrongImages: 0, lost: 0, doneTwice: 0 };
  try {
    for (const [query, told] of answers) {
      const record = cache.get(query);
      const images = cache.images(query);
      const isKept =
        images.length >= told.images.length && (told.images.length === 0 || record?.state === 'OK');
      if (told.state !== QueryState.QUERY_STATE_FAILED && !isKept) audit.lost += 1;
      if ((record?.attempts ?? 0) > 1) audit.doneTwice += 1;
      audit.images += images.length;
      for (const image of images) if (!(await isRight(image, image.jpeg, shop))) audit.wrongImages += 1;
    }
  } finally {
    await cache.close();
  }
  return audit;
}

async function isRight(
  { sourceUrl, sourceSha256 }: StoredImage,
  jpeg: Buffer,
  shop: ShopControl,
): Promise<boolean> {
  const { width, height, format } = await sharp(jpeg).metadata();
  if (width !== 224 || height !== 224 || format !== 'jpeg') return false;
  const { pathname } = new URL(sourceUrl);
  const response = await fetch(`${shop.origin}${pathname}`);
  const original = Buffer.from(await response.arrayBuffer());
  return createHash('sha256').update(original).digest().equals(sourceSha256);
}
