import type { RunView } from '../../src/wire.ts';
import { post } from '../api.ts';
import { field, h } from '../dom.ts';
import { Notice } from '../feedback.ts';
import { message } from '../language.ts';
import type { FormField, RunFormDefinition } from './run-forms.ts';

/** Shows a form of a run's main options; a run that was started is gone to. */
export function openRunDialog(definition: RunFormDefinition, signal: AbortSignal): void {
  const notice = new Notice();
  const cancel = h('button', { type: 'button' }, message('cancel'));
  const start = h('button', { type: 'submit', class: 'primary' }, message(definition.title));
  const form = h(
    'form',
    { class: 'stack' },
    h('h2', { id: 'run-dialog-title' }, message(definition.title)),
    h('p', { class: 'hint' }, message(definition.hint)),
    h('div', { class: 'form-grid' }, ...definition.fields.map(inputOf), ...choicesOf(definition)),
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
      const run = await post<RunView>(definition.path, readForm(form, definition), signal);
      dialog.close();
      location.hash = `#/training/${encodeURIComponent(run.name)}`;
    } catch (error) {
      notice.error(error);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

function inputOf({ key, label, kind, required, placeholder }: FormField): HTMLElement {
  const attributes = { name: key, placeholder, required, autocomplete: 'off' };
  const type =
    kind === 'text'
      ? { type: 'text' }
      : { type: 'number', min: 0, step: kind === 'decimal' ? 'any' : 1, inputmode: 'decimal' };
  return field(message(label), h('input', { ...attributes, ...type }));
}

function choicesOf({ choices }: RunFormDefinition): HTMLElement[] {
  return choices.map(({ key, label, values }) => {
    const options = ['', ...values].map((value) => h('option', { value }, value || message('default')));
    return field(message(label), h('select', { name: key }, ...options));
  });
}

function readForm(form: HTMLFormElement, { fields }: RunFormDefinition): Record<string, string | number> {
  const values: Record<string, string | number> = {};
  const numbers = new Set(fields.filter(({ kind }) => kind !== 'text').map(({ key }) => key));
  for (const [key, value] of new FormData(form)) {
    const text = String(value).trim();
    if (text !== '') values[key] = numbers.has(key) ? Number(text) : text;
  }
  return values;
}
