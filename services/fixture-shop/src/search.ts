import type { Product } from './catalogue.ts';
import { VARIATIONS } from './pictures.ts';

/** One picture of one product, as one seller shows it. */
export interface Offer {
  readonly product: Product;
  /** 0 up to {@link VARIATIONS} - 1. */
  readonly variation: number;
}

export type Search = (query: string) => Offer[];

/** Offers on a page. */
const PAGE_OFFERS = 12;
/** Products that match a query equally well share the page's first places, this many at most. */
const EQUAL_PRODUCTS = 5;

const MATCHES = { label: 4, tag: 3, partOfLabel: 2, partOfTag: 1 } as const;

/** Searches labels and tags; what matches best comes first, in all its variations, and then what matches less. */
export function createSearch(products: readonly Product[]): Search {
  const indexed = products.map((product) => ({
    product,
    label: simplify(product.label),
    tags: product.tags.map(simplify),
  }));
  return (query) => {
    const wanted = simplify(query);
    if (wanted === '') return [];
    const scored = indexed
      .map(({ product, label, tags }) => ({ product, score: scoreOf(wanted, label, tags) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score);
    const best = scored.filter(({ score }) => score === scored[0]?.score).slice(0, EQUAL_PRODUCTS);
    const rest = scored.slice(best.length);
    const offers: Offer[] = [];
    for (let variation = 0; variation < VARIATIONS; variation++)
      for (const { product } of best) offers.push({ product, variation });
    for (const { product } of rest) offers.push({ product, variation: 0 });
    return offers.slice(0, PAGE_OFFERS);
  };
}

function scoreOf(wanted: string, label: string, tags: readonly string[]): number {
  if (label === wanted) return MATCHES.label;
  if (tags.includes(wanted)) return MATCHES.tag;
  if (label.includes(wanted)) return MATCHES.partOfLabel;
  return tags.some((tag) => tag.includes(wanted)) ? MATCHES.partOfTag : 0;
}

/** Letters, digits and signs alone: a query may come without the spaces and punctuation of a label. */
const simplify = (text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{P}]/gu, '');
