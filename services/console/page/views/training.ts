import type { RunView } from '../../src/wire.ts';
import { get } from '../api.ts';
import { fill, h } from '../dom.ts';
import { Notice } from '../feedback.ts';
import { message, number } from '../language.ts';
import { badge } from './badge.ts';
import { runDetail } from './run-detail.ts';
import { openRunDialog } from './run-dialog.ts';
import { ADAPTATION_FORM, TRAINING_FORM } from './run-forms.ts';
import { repeat, type View } from './view.ts';

const LIST_INTERVAL_MS = 3_000;

/** The runs, and one of them (`#/training/NAME`) in full. */
export const trainingView: View = ({ rest, signal }) => {
  const wanted = decodeURIComponent(rest);
  const notice = new Notice();
  const list = h('ul', { class: 'run-list' });
  const detail = h('section', { class: 'run-detail', 'aria-label': message('run') });
  let shown = '';
  const show = (name: string): void => {
    if (shown === name) return;
    shown = name;
    fill(detail, ...runDetail(name, signal));
  };
  const refresh = async (): Promise<void> => {
    try {
      const runs = await get<RunView[]>('/api/runs', signal);
      notice.clear();
      const current = wanted || runs[0]?.name || '';
      updateList(list, runs, current);
      if (current) show(current);
      else fill(detail, h('p', { class: 'empty' }, message('noRuns')));
    } catch (error) {
      notice.error(error);
    }
  };
  repeat(LIST_INTERVAL_MS, signal, () => void refresh());
  const start = h('button', { class: 'primary' }, message('startRun'));
  start.addEventListener('click', () => openRunDialog(TRAINING_FORM, signal));
  const adapt = h('button', {}, message('startAdaptation'));
  adapt.addEventListener('click', () => openRunDialog(ADAPTATION_FORM, signal));
  const runs = h(
    'section',
    { class: 'runs', 'aria-labelledby': 'runs-title' },
    h('div', { class: 'row between' }, h('h2', { id: 'runs-title' }, message('runs')), start),
    notice.element,
    list,
    adapt,
  );
  return [h('div', { class: 'split' }, runs, detail)];
};

/** Keeps the entries that are the same, and with them the reader's focus. */
function updateList(list: HTMLElement, runs: readonly RunView[], current: string): void {
  const focused = document.activeElement?.getAttribute('href');
  fill(
    list,
    ...runs.map(({ name, state, step, totalSteps }) =>
      h(
        'li',
        {},
        h(
          'a',
          {
            href: `#/training/${encodeURIComponent(name)}`,
            'aria-current': name === current ? 'true' : null,
          },
          h('span', { class: 'run-name' }, name),
          h('span', { class: 'row between' }, badge('run', state), `${number(step)} / ${number(totalSteps)}`),
        ),
      ),
    ),
  );
  if (focused) list.querySelector<HTMLElement>(`[href="${CSS.escape(focused)}"]`)?.focus();
}
