import type { RunForm, RunView } from '../../src/wire.ts';
import { post } from '../api.ts';
import { field, h } from '../dom.ts';
import { Notice } from '../feedback.ts';
import { type MessageKey, message } from '../language.ts';

type Kind = 'text' | 'number';
type FormKey = keyof RunForm & string;

/** In the order they are shown; an empty one has the trainer's default. */
const FIELDS: readonly (readonly [FormKey, MessageKey, Kind, (string | undefined)?])[] = [
  ['trainData', 'trainData', 'text', 'datasets/emoji/lmdb/train'],
  ['valData', 'valData', 'text', 'datasets/emoji/lmdb/valid'],
  ['name', 'runName', 'text'],
  ['resume', 'resumeFrom', 'text'],
  ['visionModel', 'visionModel', 'text', 'ViT-B-16'],
  ['textModel', 'textModel', 'text', 'RoBERTa-wwm-ext-base-chinese'],
  ['maxEpochs', 'maxEpochs', 'number'],
  ['maxSteps', 'maxSteps', 'number'],
  ['batchSize', 'batchSize', 'number'],
  ['contextLength', 'contextLength', 'number'],
  ['learningRate', 'learningRate', 'number'],
  ['warmup', 'warmup', 'number'],
  ['validStepInterval', 'validStepInterval', 'number'],
];
const CHOICES = [
  ['loss', 'loss', ['dsl', 'clip']],
  ['optimizer', 'optimizer', ['lamb', 'adamw']],
] as const;

/** A form of a run's main options; a run that was started is gone to. */
export function openRunDialog(signal: AbortSignal): void {
  const notice = new Notice();
  const inputs = FIELDS.map(([key, label, kind, placeholder]) => {
    const attributes = { name: key, placeholder, required: key === 'trainData', autocomplete: 'off' };
    const number = { type: 'number', min: 0, step: key === 'learningRate' ? 'any' : 1, inputmode: 'decimal' };
    return field(
      message(label),
      h('input', { ...attributes, ...(kind === 'number' ? number : { type: 'text' }) }),
    );
  });
  const choices = CHOICES.map(([key, label, values]) =>
    field(
      message(label),
      h(
        'select',
        { name: key },
        ...['', ...values].map((value) => h('option', { value }, value || message('default'))),
      ),
    ),
  );
  const cancel = h('button', { type: 'button' }, message('cancel'));
  const start = h('button', { type: 'submit', class: 'primary' }, message('startRun'));
  const form = h(
    'form',
    { class: 'stack' },
    h('h2', { id: 'run-dialog-title' }, message('startRun')),
    h('p', { class: 'hint' }, message('runFormHint')),
    h('div', { class: 'form-grid' }, ...inputs, ...choices),
    notice.element,
    h('div', { class: 'row end' }, cancel, start),
  );
  const dialog = h('dialog', { class: 'dialog wide', 'aria-labelledby': 'run-dialog-title' }, form);
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  signal.addEventListener('abort', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    notice.clear();
    try {
      const run = await post<RunView>('/api/runs', readForm(form), signal);
      dialog.close();
      location.hash = `#/training/${encodeURIComponent(run.name)}`;
    } catch (error) {
      notice.error(error);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

function readForm(form: HTMLFormElement): Record<string, string | number> {
  const values: Record<string, string | number> = {};
  const numbers = new Set<string>(FIELDS.filter(([, , kind]) => kind === 'number').map(([key]) => key));
  for (const [key, value] of new FormData(form)) {
    const text = String(value).trim();
    if (text !== '') values[key] = numbers.has(key) ? Number(text) : text;
  }
  return values;
}
