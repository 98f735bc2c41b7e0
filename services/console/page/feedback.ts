import { errorText, isAbort } from './api.ts';
import { fill, h } from './dom.ts';

/** Read out by screen readers, shown to nobody else. */
export const announcer = h('div', { role: 'status', 'aria-live': 'polite', class: 'visually-hidden' });

export function announce(text: string): void {
  announcer.textContent = text;
}

/** A place for one message of a view; errors are read out at once. */
export class Notice {
  readonly element = h('div', { class: 'notice-place' });

  error(error: unknown): void {
    if (!isAbort(error)) this.#show('error', 'alert', errorText(error));
  }

  warn(text: string): void {
    this.#show('warning', 'status', text);
  }

  clear(): void {
    this.element.replaceChildren();
  }

  #show(kind: string, role: string, text: string): void {
    fill(this.element, h('p', { class: `notice ${kind}`, role }, text));
  }
}

/** Runs what a button does, once at a time, and shows what went wrong. */
export function action(button: HTMLButtonElement, notice: Notice, work: () => Promise<void>): void {
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return;
    // Not `disabled`: that would take the focus from who pressed it with a key.
    button.setAttribute('aria-disabled', 'true');
    notice.clear();
    try {
      await work();
    } catch (error) {
      notice.error(error);
    } finally {
      button.removeAttribute('aria-disabled');
    }
  });
}

/** A dialog that asks before something that cannot be undone. Resolves to whether it was confirmed. */
export async function confirmed(question: string, yes: string, no: string): Promise<boolean> {
  const accept = h('button', { class: 'danger', value: 'yes' }, yes);
  const form = h(
    'form',
    { method: 'dialog', class: 'stack' },
    h('p', {}, question),
    h('div', { class: 'row end' }, h('button', { value: 'no', autofocus: true }, no), accept),
  );
  const dialog = h('dialog', { class: 'dialog', 'aria-label': question }, form);
  document.body.append(dialog);
  dialog.showModal();
  const closed = Promise.withResolvers<void>();
  dialog.addEventListener('close', () => closed.resolve(), { once: true });
  await closed.promise;
  dialog.remove();
  return dialog.returnValue === 'yes';
}
