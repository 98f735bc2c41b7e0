import type { Hit, IndexView, ModelView, SearchAnswer, SearchCatalog } from '../../src/wire.ts';
import { get, post, postImage } from '../api.ts';
import { field, fill, h, icon } from '../dom.ts';
import { announce, Notice } from '../feedback.ts';
import { byteSize, message, number } from '../language.ts';
import { MAX_IMAGE_BYTES, MAX_TEXT_LENGTH } from '../limits.ts';
import type { View } from './view.ts';

const TOP_KS = [10, 20, 50, 100];
const DEFAULT_TOP_K = 20;
const FINGERPRINT_SHOWN = 12;
const IMAGE_ICON =
  'M4 5h16v14H4zM8.500 11a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3Zm-4 6 5-5 3.500 3.500L16 12l4 4';
const SIMILAR_ICON = 'M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12Zm4.500 10.500L20 20M10 7.500v5M7.500 10h5';

export const searchView: View = ({ rest, signal }) => new SearchPage(rest, signal).elements();

class SearchPage {
  readonly #signal: AbortSignal;
  readonly #notice = new Notice();
  readonly #text = h('input', {
    type: 'search',
    class: 'query',
    maxlength: MAX_TEXT_LENGTH,
    placeholder: message('searchPlaceholder'),
    'aria-label': message('searchText'),
    autocomplete: 'off',
    enterkeyhint: 'search',
  });
  readonly #file = h('input', {
    type: 'file',
    accept: 'image/*',
    class: 'visually-hidden',
    'aria-label': message('chooseImage'),
  });
  readonly #index = h('select', {});
  readonly #topK = h(
    'select',
    {},
    ...TOP_KS.map((k) => h('option', { value: k, selected: k === DEFAULT_TOP_K }, k)),
  );
  readonly #preview = h('div', { class: 'preview', hidden: true });
  readonly #facts = h('div', { class: 'facts' });
  readonly #grid = h('ul', { class: 'grid', 'aria-label': message('results') });
  /** The query of a link to this page, until the indexes are known. */
  readonly #linked: URLSearchParams;
  #image: Blob | undefined;
  #previewUrl: string | undefined;
  /** A newer search ends the one before. */
  #current = new AbortController();

  constructor(rest: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#linked = new URLSearchParams(rest.replace(/^\?/, ''));
    this.#file.addEventListener('change', () => this.#take(this.#file.files?.[0]));
    for (const select of [this.#index, this.#topK]) select.addEventListener('change', () => this.#again());
    this.#listenForImages();
    signal.addEventListener('abort', () => {
      this.#current.abort();
      this.#setImage(undefined);
    });
    void this.#loadIndexes();
  }

  elements() {
    const submit = h('button', { class: 'primary', type: 'submit' }, message('searchDo'));
    const choose = h(
      'label',
      { class: 'button', title: message('chooseImage') },
      this.#file,
      icon(IMAGE_ICON),
      h('span', {}, message('image')),
    );
    const form = h(
      'form',
      { class: 'search-form', role: 'search', 'aria-label': message('search') },
      h('div', { class: 'search-row' }, this.#text, choose, submit),
      this.#preview,
      h(
        'div',
        { class: 'row' },
        field(message('index'), this.#index),
        field(message('topK'), this.#topK),
        h('p', { class: 'hint drop-hint' }, message('dropHint')),
      ),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#setImage(undefined);
      void this.#searchText();
    });
    return [form, this.#notice.element, this.#facts, this.#grid];
  }

  async #loadIndexes(): Promise<void> {
    try {
      const { indexes, model } = await get<SearchCatalog>('/api/indexes', this.#signal);
      const wanted = this.#linked.get('index') ?? indexes.find(({ items }) => items !== '0')?.name;
      fill(this.#index, ...indexes.map((one) => indexOption(one, wanted)));
      if (indexes.length === 0) this.#notice.warn(message('noIndexes'));
      else this.#showFacts(indexes.find(({ name }) => name === wanted) ?? indexes[0], model);
      this.#text.value = this.#linked.get('q') ?? '';
      if (this.#text.value) await this.#searchText();
      else this.#text.focus({ preventScroll: true });
    } catch (error) {
      this.#notice.error(error);
    }
  }

  #again(): void {
    if (this.#image) void this.#searchImage(this.#image);
    else if (this.#text.value.trim()) void this.#searchText();
  }

  async #searchText(): Promise<void> {
    const text = this.#text.value.trim();
    if (!text) return;
    const index = this.#index.value;
    // The address leads back to this search.
    history.replaceState(null, '', `#/search/?${new URLSearchParams({ index, q: text })}`);
    await this.#search(text, (signal) =>
      post<SearchAnswer>('/api/search/text', { index, text, topK: Number(this.#topK.value) }, signal),
    );
  }

  async #searchImage(image: Blob): Promise<void> {
    const target = new URLSearchParams({ index: this.#index.value, topK: this.#topK.value });
    history.replaceState(null, '', '#/search');
    await this.#search(message('image'), (signal) =>
      postImage<SearchAnswer>(`/api/search/image?${target}`, image, signal),
    );
  }

  async #search(what: string, ask: (signal: AbortSignal) => Promise<SearchAnswer>): Promise<void> {
    this.#current.abort();
    this.#current = new AbortController();
    this.#notice.clear();
    this.#grid.setAttribute('aria-busy', 'true');
    try {
      const answer = await ask(this.#current.signal);
      this.#showFacts(answer.index, answer.model, answer.milliseconds);
      fill(this.#grid, ...answer.hits.map((hit, i) => this.#tile(hit, i)));
      announce(message('found', { count: answer.hits.length, what }));
      if (answer.hits.length === 0) this.#notice.warn(message('indexEmpty'));
    } catch (error) {
      this.#notice.error(error);
    } finally {
      this.#grid.removeAttribute('aria-busy');
    }
  }

  #tile({ id, score, picture }: Hit, position: number): HTMLElement {
    const bar = h('span', { class: 'score-bar', 'aria-hidden': 'true' });
    bar.style.setProperty('--score', String(Math.max(0, score)));
    const shown = picture
      ? h('img', { src: picture, alt: message('pictureOf', { id }), loading: 'lazy', decoding: 'async' })
      : h('span', { class: 'placeholder' }, message('noPicture'));
    const similar =
      picture &&
      h(
        'button',
        {
          title: message('similar'),
          'aria-label': message('similarTo', { id }),
          on: { click: () => void this.#searchLike(picture) },
        },
        icon(SIMILAR_ICON),
      );
    const facts = [
      h('span', { class: 'rank' }, `${position + 1}`),
      h('span', { class: 'score' }, number(score, 3)),
      h('span', { class: 'item-id' }, `#${id}`),
    ];
    return h(
      'li',
      { class: 'tile' },
      h('div', { class: 'picture' }, shown),
      bar,
      h('p', {}, ...facts),
      similar,
    );
  }

  async #searchLike(picture: string): Promise<void> {
    try {
      const response = await fetch(picture, { signal: this.#signal });
      await this.#take(await response.blob());
    } catch (error) {
      this.#notice.error(error);
    }
  }

  /** Searches with an image that was chosen, dropped or pasted. */
  async #take(image: Blob | undefined): Promise<void> {
    if (!image) return;
    this.#file.value = '';
    if (!image.type.startsWith('image/')) return this.#notice.warn(message('notAnImage'));
    if (image.size > MAX_IMAGE_BYTES)
      return this.#notice.warn(message('imageTooLarge', { limit: byteSize(MAX_IMAGE_BYTES) }));
    this.#text.value = '';
    this.#setImage(image);
    scrollTo({ top: 0 });
    await this.#searchImage(image);
  }

  #setImage(image: Blob | undefined): void {
    if (this.#previewUrl) URL.revokeObjectURL(this.#previewUrl);
    this.#image = image;
    this.#previewUrl = image && URL.createObjectURL(image);
    this.#preview.hidden = image === undefined;
    if (!image) return;
    const remove = h('button', { type: 'button', class: 'quiet small' }, message('removeImage'));
    remove.addEventListener('click', () => {
      this.#setImage(undefined);
      this.#text.focus();
    });
    fill(this.#preview, h('img', { src: this.#previewUrl, alt: message('queryImage') }), remove);
  }

  #listenForImages(): void {
    const { body } = document;
    const options = { signal: this.#signal };
    const imageOf = (data: DataTransfer | null) =>
      [...(data?.files ?? [])].find(({ type }) => type.startsWith('image/'));
    body.addEventListener(
      'dragover',
      (event) => {
        event.preventDefault();
        body.classList.add('dropping');
      },
      options,
    );
    for (const end of ['dragleave', 'drop', 'dragend'] as const)
      body.addEventListener(end, () => body.classList.remove('dropping'), options);
    body.addEventListener(
      'drop',
      (event) => {
        event.preventDefault();
        const image = imageOf(event.dataTransfer);
        if (image) void this.#take(image);
        else this.#notice.warn(message('notAnImage'));
      },
      options,
    );
    document.addEventListener('paste', (event) => void this.#take(imageOf(event.clipboardData)), options);
  }

  #showFacts(index: IndexView | undefined, model: ModelView | null, milliseconds?: number): void {
    const mismatch = model && index?.modelFingerprint && index.modelFingerprint !== model.fingerprint;
    const facts: [string, string, (string | undefined)?][] = [
      [message('model'), model?.checkpointPath || message('noModel')],
      [message('fingerprint'), model?.fingerprint.slice(0, FINGERPRINT_SHOWN) ?? '–', model?.fingerprint],
      [
        message('indexModel'),
        index?.modelFingerprint.slice(0, FINGERPRINT_SHOWN) || message('notKnown'),
        index?.modelFingerprint,
      ],
      [message('items'), index ? number(Number(index.items)) : '–'],
    ];
    if (milliseconds !== undefined) facts.push([message('took'), `${number(milliseconds)} ms`]);
    fill(
      this.#facts,
      h(
        'dl',
        {},
        ...facts.map(([name, value, title]) => h('div', {}, h('dt', {}, name), h('dd', { title }, value))),
      ),
      mismatch && h('p', { class: 'notice warning', role: 'status' }, message('modelMismatch')),
    );
  }
}

function indexOption({ name, items }: IndexView, wanted: string | undefined): HTMLOptionElement {
  return h('option', { value: name, selected: name === wanted }, `${name} (${number(Number(items))})`);
}
