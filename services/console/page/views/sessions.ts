import type { BrowserView, SessionEvents, SessionView } from '../../src/wire.ts';
import { post } from '../api.ts';
import { field, fill, h } from '../dom.ts';
import { action, announce, confirmed, Notice } from '../feedback.ts';
import { dateTime, duration, message, named } from '../language.ts';
import { watch } from '../live.ts';
import { badge } from './badge.ts';
import { repeat, type View } from './view.ts';

/** The contract's limit of a label. */
const MAX_LABEL_LENGTH = 64;
const SECOND_MS = 1_000;

export const sessionsView: View = ({ signal }) => {
  const notice = new Notice();
  const live = h('span', { class: 'live', role: 'status' });
  const list = h('ul', { class: 'cards' });
  const empty = h('p', { class: 'empty', hidden: true }, message('noSessions'));
  const cards = new Map<string, SessionCard>();
  watch<SessionEvents>(
    '/api/sessions/events',
    {
      session: (session) => {
        const card = cards.get(session.id) ?? new SessionCard(signal);
        card.show(session);
        if (!cards.has(session.id)) list.append(card.element);
        cards.set(session.id, card);
        empty.hidden = true;
      },
      sessions: ({ ids }) => {
        for (const [id, card] of cards)
          if (!ids.includes(id)) {
            card.element.remove();
            cards.delete(id);
          }
        empty.hidden = ids.length > 0;
      },
      trouble: ({ message: text }) => (text ? notice.error(new Error(text)) : notice.clear()),
    },
    { signal, onLive: (isLive) => fill(live, message(isLive ? 'live' : 'reconnecting')) },
  );
  repeat(SECOND_MS, signal, () => {
    for (const card of cards.values()) card.tick();
  });
  return [openForm(signal, notice, live), notice.element, list, empty];
};

function openForm(signal: AbortSignal, notice: Notice, live: HTMLElement): HTMLElement {
  const label = h('input', { type: 'text', maxlength: MAX_LABEL_LENGTH, autocomplete: 'off' });
  const open = h('button', { class: 'primary', type: 'button' }, message('openSession'));
  const check = h('button', { type: 'button' }, message('checkBrowser'));
  const browser = h('p', { class: 'hint', role: 'status' });
  action(open, notice, async () => {
    const session = await post<SessionView>('/api/sessions', { label: label.value }, signal);
    label.value = '';
    announce(message('sessionOpened', { id: session.id }));
  });
  label.addEventListener('keydown', ({ key }) => {
    if (key === 'Enter') open.click();
  });
  action(check, notice, async () => {
    const { installed, version, advice } = await post<BrowserView>('/api/browser/check', {}, signal);
    fill(browser, installed ? version : advice);
  });
  return h(
    'section',
    { class: 'panel', 'aria-label': message('openSession') },
    h(
      'div',
      { class: 'row bottom' },
      field(message('label'), label),
      open,
      check,
      h('span', { class: 'grow' }),
      live,
    ),
    browser,
    h('p', { class: 'hint' }, message('sessionsHint')),
  );
}

/** One session: what it waits for is on top. */
class SessionCard {
  readonly element: HTMLElement;
  readonly #notice = new Notice();
  readonly #title = h('h2', {});
  readonly #state = h('div', { class: 'row between' });
  readonly #body = h('div', { class: 'stack' });
  readonly #facts = h('dl', { class: 'inline' });
  readonly #countdown = h('p', { class: 'countdown', role: 'timer', 'aria-live': 'off' });
  readonly #resolve = h('button', { class: 'primary', hidden: true }, message('resolveChallenge'));
  #session: SessionView | undefined;

  constructor(signal: AbortSignal) {
    const retire = h('button', { class: 'danger' }, message('retire'));
    action(this.#resolve, this.#notice, async () => {
      await post<SessionView>(`/api/sessions/${this.#id}/resolve`, {}, signal);
    });
    action(retire, this.#notice, async () => {
      const question = message('retireQuestion', { name: this.#name });
      if (await confirmed(question, message('retire'), message('cancel')))
        await post<SessionView>(`/api/sessions/${this.#id}/retire`, {}, signal);
    });
    this.element = h(
      'li',
      { class: 'card' },
      this.#state,
      this.#body,
      this.#facts,
      this.#notice.element,
      h('div', { class: 'row end' }, this.#resolve, retire),
    );
  }

  get #id(): string {
    return this.#session?.id ?? '';
  }

  get #name(): string {
    return this.#session?.label || `#${this.#id}`;
  }

  show(session: SessionView): void {
    const before = this.#session;
    this.#session = session;
    if (before && before.state !== session.state)
      announce(`${this.#name}: ${named('session', session.state)}`);
    fill(this.#title, this.#name);
    fill(this.#state, this.#title, badge('session', session.state));
    this.#resolve.hidden = session.state !== 'parked';
    this.#showBody(session);
    this.tick();
    const facts: [string, string][] = [
      [message('queriesToday'), `${session.queriesToday} / ${session.dailyCap}`],
      [message('openedAt'), dateTime(session.openedAt)],
      [message('changedAt'), dateTime(session.changedAt)],
    ];
    fill(this.#facts, ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  #showBody({ state, reason, qrCode, challenge }: SessionView): void {
    fill(
      this.#body,
      reason && h('p', { class: 'reason' }, reason),
      qrCode && h('img', { class: 'qr', src: qrCode.image, alt: message('qrCode') }),
      qrCode && h('p', { class: 'hint' }, message('scanHint')),
      state === 'login-scanned' && h('p', {}, message('confirmHint')),
      challenge &&
        h(
          'a',
          { href: challenge, download: `challenge-${this.#id}.png` },
          h('img', { class: 'challenge', src: challenge, alt: message('challenge') }),
        ),
      state === 'parked' && h('p', { class: 'hint' }, message('challengeHint')),
      this.#countdown,
    );
  }

  /** Once a second: how long the code works, or the rest lasts. */
  tick(): void {
    const { qrCode, resumesAt } = this.#session ?? {};
    const end = qrCode ? qrCode.expiresAt : resumesAt;
    this.#countdown.hidden = end === null || end === undefined;
    if (end === null || end === undefined) return;
    const seconds = (end - Date.now()) / SECOND_MS;
    const text = qrCode
      ? message(seconds > 0 ? 'expiresIn' : 'expired', { time: duration(seconds), attempt: qrCode.attempt })
      : message('resumesIn', { time: duration(seconds) });
    fill(this.#countdown, text);
  }
}
