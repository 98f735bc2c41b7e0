import type {
  CrawlEvents,
  CrawledImages,
  CrawlView,
  FailureList,
  QueryOutcome,
  QueryStateName,
} from '../../src/wire.ts';
import { get, post } from '../api.ts';
import { type Child, field, fill, h } from '../dom.ts';
import { action, announce, Notice } from '../feedback.ts';
import { dateTime, message, named, number } from '../language.ts';
import { watch } from '../live.ts';
import { badge } from './badge.ts';
import { repeat, type View } from './view.ts';

const FAILURES_INTERVAL_MS = 10_000;
const MAX_WANTED = 100;
const STATES: readonly QueryStateName[] = ['ok', 'no-results', 'deferred', 'failed'];
/** Of a job's latest outcomes. */
const SHOWN_OUTCOMES = 12;

export const crawlView: View = ({ signal }) => {
  const notice = new Notice();
  const live = h('span', { class: 'live', role: 'status' });
  const jobs = h('ul', { class: 'jobs' });
  const entries = new Map<string, HTMLElement>();
  watch<CrawlEvents>(
    '/api/crawls/events',
    {
      crawl: (crawl) => {
        const entry = entries.get(crawl.id) ?? h('li', { class: 'card' });
        showCrawl(entry, crawl, notice, signal);
        if (!entries.has(crawl.id)) jobs.prepend(entry);
        entries.set(crawl.id, entry);
      },
    },
    { signal, onLive: (isLive) => fill(live, message(isLive ? 'live' : 'reconnecting')) },
  );
  return [
    crawlForm(signal, notice, live),
    notice.element,
    jobs,
    imagesSection(signal),
    failuresSection(signal),
  ];
};

function crawlForm(signal: AbortSignal, notice: Notice, live: HTMLElement): HTMLElement {
  const queries = h('textarea', { rows: 4, spellcheck: 'false', placeholder: message('queriesPlaceholder') });
  const wanted = h('input', { type: 'number', min: 1, max: MAX_WANTED, value: 1 });
  const refresh = h('input', { type: 'checkbox', id: 'crawl-refresh' });
  const start = h('button', { class: 'primary', type: 'button' }, message('startCrawl'));
  action(start, notice, async () => {
    const form = {
      queries: queries.value.split('\n'),
      wanted: wanted.valueAsNumber,
      refresh: refresh.checked,
    };
    const crawl = await post<CrawlView>('/api/crawls', form, signal);
    announce(message('crawlStarted', { total: crawl.total }));
  });
  return h(
    'section',
    { class: 'panel', 'aria-label': message('startCrawl') },
    field(message('queries'), queries, message('queriesHint')),
    h(
      'div',
      { class: 'row bottom' },
      field(message('wanted'), wanted),
      h('span', { class: 'check' }, refresh, h('label', { for: refresh.id }, message('refresh'))),
      start,
      h('span', { class: 'grow' }),
      live,
    ),
  );
}

function showCrawl(entry: HTMLElement, crawl: CrawlView, notice: Notice, signal: AbortSignal): void {
  const done = STATES.reduce((sum, state) => sum + crawl.counts[state], 0);
  const cancel = h('button', {}, message('cancelCrawl'));
  action(cancel, notice, async () => {
    await post<CrawlView>(`/api/crawls/${crawl.id}/cancel`, {}, signal);
  });
  const hadFocus = entry.contains(document.activeElement);
  fill(
    entry,
    h(
      'div',
      { class: 'row between' },
      h('h2', {}, message('crawlNumber', { id: crawl.id })),
      badge('crawl', crawl.state),
    ),
    h('progress', { max: crawl.total, value: done, 'aria-label': message('progress') }),
    h(
      'dl',
      { class: 'inline' },
      fact(message('queries'), `${number(done)} / ${number(crawl.total)}`),
      ...STATES.map((state) => fact(named('query', state), number(crawl.counts[state]))),
      fact(message('images'), number(crawl.images)),
      fact(message('startedAt'), dateTime(crawl.startedAt)),
    ),
    crawl.error && h('p', { class: 'notice error', role: 'alert' }, crawl.error),
    failureBars(crawl.failures),
    outcomeTable(crawl.recent.slice(0, SHOWN_OUTCOMES)),
    crawl.state === 'running' && h('div', { class: 'row end' }, cancel),
  );
  if (hadFocus && crawl.state === 'running') cancel.focus();
}

const fact = (name: string, value: string): HTMLElement =>
  h('div', {}, h('dt', {}, name), h('dd', {}, value));

/** How often each reason, the most frequent first. */
function failureBars(failures: Readonly<Record<string, number>>): Child {
  const reasons = Object.entries(failures).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return null;
  const most = reasons[0]?.[1] ?? 1;
  const rows = reasons.map(([reason, count]) => {
    const bar = h('span', { class: 'bar-fill', 'aria-hidden': 'true' });
    bar.style.setProperty('--share', String(count / most));
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, named('failure', reason)),
      h('td', { class: 'bar-cell' }, bar),
      h('td', {}, number(count)),
    );
  });
  return h(
    'table',
    { class: 'reasons' },
    h('caption', {}, message('failuresByReason')),
    h('tbody', {}, ...rows),
  );
}

function outcomeTable(outcomes: readonly QueryOutcome[]): Child {
  if (outcomes.length === 0) return null;
  const rows = outcomes.map((outcome) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, outcome.query),
      h('td', {}, badge('query', outcome.state)),
      h('td', {}, number(outcome.images), outcome.cached && ` (${message('cached')})`),
      h('td', {}, outcome.failure === 'none' ? '' : named('failure', outcome.failure)),
    ),
  );
  const columns = [message('query'), message('state'), message('images'), message('reason')];
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': message('latestOutcomes') },
    h(
      'table',
      {},
      h('caption', {}, message('latestOutcomes')),
      h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, ...rows),
    ),
  );
}

function imagesSection(signal: AbortSignal): HTMLElement {
  const notice = new Notice();
  const query = h('input', { type: 'search', maxlength: 256, autocomplete: 'off' });
  const look = h('button', { type: 'submit' }, message('showImages'));
  const grid = h('ul', { class: 'grid', 'aria-label': message('images') });
  const form = h('form', { class: 'row bottom' }, field(message('query'), query), look);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    notice.clear();
    grid.replaceChildren();
    try {
      const path = `/api/images?${new URLSearchParams({ query: query.value.trim() })}`;
      const { images, outcome } = await get<CrawledImages>(path, signal);
      announce(message('found', { count: images.length, what: outcome.query }));
      if (images.length === 0) notice.warn(named('query', outcome.state));
      fill(grid, ...images.map((image) => imageTile(image, outcome.query)));
    } catch (error) {
      notice.error(error);
    }
  });
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': 'images-title' },
    h('h2', { id: 'images-title' }, message('cachedImages')),
    form,
    notice.element,
    grid,
  );
}

function imageTile(
  { id, image, rank, sourceUrl, fetchedAt }: CrawledImages['images'][number],
  query: string,
) {
  return h(
    'li',
    { class: 'tile' },
    h('div', { class: 'picture' }, h('img', { src: image, alt: `${query} ${rank}` })),
    h('p', {}, h('span', { class: 'rank' }, rank), h('span', { class: 'item-id' }, `#${id}`)),
    h('p', { class: 'hint source', title: sourceUrl }, sourceUrl, h('br'), dateTime(fetchedAt)),
  );
}

function failuresSection(signal: AbortSignal): HTMLElement {
  const notice = new Notice();
  const count = h('span', { class: 'count' });
  const body = h('tbody', {});
  repeat(FAILURES_INTERVAL_MS, signal, async () => {
    try {
      const { failures, total } = await get<FailureList>('/api/failures', signal);
      notice.clear();
      fill(count, `(${number(Number(total))})`);
      const rows = failures.map((failure) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, failure.query),
          h('td', {}, badge('query', failure.state)),
          h(
            'td',
            {},
            named('failure', failure.failure),
            failure.message && h('span', { class: 'hint' }, failure.message),
          ),
          h('td', {}, number(failure.attempts)),
          h('td', {}, dateTime(failure.retryAt)),
        ),
      );
      fill(body, ...rows, rows.length === 0 && h('tr', {}, h('td', { colspan: 5 }, message('noFailures'))));
    } catch (error) {
      notice.error(error);
    }
  });
  const columns = [
    message('query'),
    message('state'),
    message('reason'),
    message('attempts'),
    message('retryAt'),
  ];
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': 'failures-title' },
    h('h2', { id: 'failures-title' }, message('failures'), ' ', count),
    notice.element,
    h(
      'div',
      { class: 'scroll', tabindex: '0', role: 'region', 'aria-labelledby': 'failures-title' },
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, name)))),
        body,
      ),
    ),
  );
}
