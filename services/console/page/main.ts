import { fill, h, icon } from './dom.ts';
import { announce, announcer } from './feedback.ts';
import { LANGUAGES, type Language, language, type MessageKey, message, setLanguage } from './language.ts';
import { crawlView } from './views/crawl.ts';
import { overviewView } from './views/overview.ts';
import { searchView } from './views/search.ts';
import { sessionsView } from './views/sessions.ts';
import { trainingView } from './views/training.ts';
import type { View } from './views/view.ts';

interface Page {
  readonly title: MessageKey;
  readonly icon: string;
  readonly view: View;
}

const PAGES: Readonly<Record<string, Page>> = {
  search: { title: 'search', icon: 'M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12Zm4.5 10.5L20 20', view: searchView },
  training: { title: 'training', icon: 'M4 4v16h16M7 9c3 0 4 7 7 7 2.500 0 3-1.500 5-2', view: trainingView },
  sessions: {
    title: 'sessions',
    icon: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 18h2v2h-2zM18 14h2M14 18v2',
    view: sessionsView,
  },
  crawl: { title: 'crawl', icon: 'M12 3v12m0 0-4-4m4 4 4-4M4 20h16', view: crawlView },
  overview: { title: 'services', icon: 'M3 12h4l3-8 4 16 3-8h4', view: overviewView },
};
const FIRST_PAGE = 'search';

const main = h('main', { id: 'main', tabindex: '-1' });
let leave = new AbortController();

function route(): { readonly name: string; readonly page: Page; readonly rest: string } {
  const [, name = '', rest = ''] = /^#\/([a-z]+)\/?(.*)$/.exec(location.hash) ?? [];
  const page = PAGES[name];
  return page ? { name, page, rest } : { name: FIRST_PAGE, page: PAGES[FIRST_PAGE] as Page, rest: '' };
}

/** Leaves the view that is shown, with everything it watches, and shows the one that the address names. */
function show(): void {
  leave.abort();
  leave = new AbortController();
  const { name, page, rest } = route();
  const title = message(page.title);
  document.title = `${title} · Online-CNCLIP`;
  for (const link of document.querySelectorAll('nav a'))
    if (link.getAttribute('href') === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  fill(main, h('h1', {}, title), ...page.view({ rest, signal: leave.signal }));
  announce(title);
}

function frame(): void {
  const links = Object.entries(PAGES).map(([name, page]) =>
    h('li', {}, h('a', { href: `#/${name}` }, icon(page.icon), h('span', {}, message(page.title)))),
  );
  fill(
    document.body,
    // A fragment of its own, which is no route, would show the first page.
    h('button', { class: 'skip', on: { click: () => main.focus() } }, message('skip')),
    h(
      'header',
      { class: 'bar' },
      h(
        'p',
        { class: 'brand' },
        h('img', { src: '/icon.svg', alt: '', width: 24, height: 24 }),
        'Online-CNCLIP',
      ),
      h('nav', { 'aria-label': message('pages') }, h('ul', {}, ...links)),
      languageSwitch(),
    ),
    main,
    announcer,
  );
}

function languageSwitch(): HTMLElement {
  const names: Readonly<Record<Language, string>> = { en: 'English', 'zh-CN': '中文' };
  const other = LANGUAGES.find((one) => one !== language()) ?? 'en';
  return h(
    'button',
    {
      class: 'language quiet',
      lang: other,
      on: {
        click: () => {
          setLanguage(other);
          frame();
          show();
          document.querySelector<HTMLElement>('.language')?.focus();
        },
      },
    },
    names[other],
  );
}

frame();
show();
addEventListener('hashchange', () => {
  show();
  // A reader who follows a link by key or by ear starts at the top of what it led to.
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
