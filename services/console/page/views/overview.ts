import type { ModelView, Overview, RollBack } from '../../src/wire.ts';
import { get, post } from '../api.ts';
import { fill, h } from '../dom.ts';
import { action, confirmed, Notice } from '../feedback.ts';
import { dateTime, message, named } from '../language.ts';
import { badge } from './badge.ts';
import { repeat, type View } from './view.ts';

const INTERVAL_MS = 5_000;

export const overviewView: View = ({ signal }) => {
  const notice = new Notice();
  /** Of the button: the next look at the services leaves it alone. */
  const failure = new Notice();
  const services = h('ul', { class: 'cards' });
  const model = h('dl', { class: 'options' });
  repeat(INTERVAL_MS, signal, async () => {
    try {
      const overview = await get<Overview>('/api/overview', signal);
      notice.clear();
      fill(services, ...overview.services.map(serviceCard));
      fill(model, ...modelFacts(overview.model));
    } catch (error) {
      notice.error(error);
    }
  });
  const rollBack = h('button', {}, message('rollBack'));
  const rolled = h('p', { class: 'hint', role: 'status' });
  action(rollBack, failure, async () => {
    if (!(await confirmed(message('rollBackQuestion'), message('rollBack'), message('cancel')))) return;
    const { checkpointPath } = await post<RollBack>('/api/model/roll-back', {}, signal);
    fill(rolled, message('rolledBack', { path: checkpointPath }));
  });
  return [
    notice.element,
    services,
    h(
      'section',
      { class: 'panel', 'aria-labelledby': 'model-title' },
      h('h2', { id: 'model-title' }, message('model')),
      model,
      failure.element,
      rolled,
      h('div', { class: 'row' }, rollBack),
    ),
  ];
};

const serviceCard = ({ name, address, state, detail }: Overview['services'][number]): HTMLElement =>
  h(
    'li',
    { class: 'card' },
    h('div', { class: 'row between' }, h('h2', {}, named('service', name)), badge('health', state)),
    h('p', { class: 'hint' }, address),
    detail && h('p', { class: 'reason' }, detail),
  );

function modelFacts(model: ModelView | null): HTMLElement[] {
  if (!model) return [h('div', {}, h('dt', {}, message('model')), h('dd', {}, message('noModel')))];
  const facts: [string, string][] = [
    [message('checkpointFile'), model.checkpointPath],
    [message('fingerprint'), model.fingerprint],
    [message('visionModel'), model.visionModel],
    [message('textModel'), model.textModel],
    [message('dimension'), String(model.embeddingDimension)],
    [message('contextLength'), String(model.contextLength)],
    [message('resolution'), `${model.imageResolution} px`],
    [message('loadedAt'), dateTime(model.loadedAt)],
  ];
  return facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
}
