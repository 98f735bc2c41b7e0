// Functions that run on the site's page. Each is sent as its own source text: it may use nothing outside itself.

interface PageElement {
  readonly complete?: boolean;
  readonly value?: string;
  matches(selector: string): boolean;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  getAttribute(name: string): string | null;
  getClientRects(): { readonly length: number };
}

declare const document: PageElement & { readonly body: { readonly scrollHeight: number } | null };
declare const window: { scrollTo(x: number, y: number): void };

/** Of each selector, whether the page shows an element that it matches. */
export function findShown(selectors: readonly string[]): boolean[] {
  return selectors.map((selector) =>
    [...document.querySelectorAll(selector)].some((element) => element.getClientRects().length > 0),
  );
}

/** The selectors that the browser itself refuses. */
export function refuseSelectors(selectors: readonly string[]): string[] {
  return selectors.filter((selector) => {
    try {
      document.querySelector(selector);
      return false;
    } catch {
      return true;
    }
  });
}

/** Selectors and names of a page of results, as the profile gives them. */
export interface ResultSelectors {
  readonly resultList: string;
  readonly item: string;
  readonly image: string;
  readonly imageAttribute: string;
  /** Null for none: undefined does not survive the way into the page. */
  readonly promoted: string | null;
  readonly noResults: string;
  readonly maxItems: number;
}

/** What a page of results holds. Items beyond the limit are not looked at. */
export interface ResultPage {
  readonly noResults: boolean;
  readonly list: boolean;
  readonly items: number;
  /** Of items that are not promoted, in order: the address as written; null where the attribute is missing. */
  readonly sources: (string | null)[];
  /** Items that are not promoted and have no image at all. */
  readonly withoutImage: number;
}

export function readResults(selectors: ResultSelectors): ResultPage {
  const { promoted } = selectors;
  const items = [...document.querySelectorAll(selectors.item)].slice(0, selectors.maxItems);
  const own = items.filter(
    (item) => promoted === null || !(item.matches(promoted) || item.querySelector(promoted)),
  );
  const images = own.map((item) => item.querySelector(selectors.image));
  return {
    noResults: document.querySelector(selectors.noResults) !== null,
    list: document.querySelector(selectors.resultList) !== null,
    items: items.length,
    sources: images
      .filter((image) => image !== null)
      .map((image) => image.getAttribute(selectors.imageAttribute)),
    withoutImage: images.filter((image) => image === null).length,
  };
}

/** As far down as there is anything now. */
export function scrollDown(): void {
  window.scrollTo(0, document.body?.scrollHeight ?? 0);
}

/** Whether the picture that a selector matches has loaded; true for anything that does not load. */
export function isLoaded(selector: string): boolean {
  return document.querySelector(selector)?.complete ?? true;
}

/** The text in an input; undefined where there is none. */
export function readBox(selector: string): string | undefined {
  return document.querySelector(selector)?.value;
}
