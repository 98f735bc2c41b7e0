import { randomUUID } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import type { OtherRunEvent, RunEvents, RunView } from '../wire.ts';
import { RunHistory } from './run-history.ts';

/** An event with the id that a page names when it comes back. */
export type FeedEvent = {
  readonly [N in keyof RunEvents]: { readonly name: N; readonly data: RunEvents[N]; readonly id: string };
}[keyof RunEvents];
type Change =
  Exclude<FeedEvent, { name: 'history' }> extends infer E
    ? E extends FeedEvent
      ? Omit<E, 'id'>
      : never
    : never;

/** Events kept for pages that come back, and for pages that read slowly; beyond it they get the whole history anew. */
const MAX_RECENT = 512;

/** One run as the console has seen it, for any number of pages. */
export class RunFeed {
  readonly #history: RunHistory;
  readonly #epoch = randomUUID().slice(0, 8);
  readonly #changes = new EventTarget();
  #recent: FeedEvent[] = [];
  #sequence = 0;

  constructor(run: RunView) {
    this.#history = new RunHistory(run);
    // One listener for each page that watches: their number has a limit of its own.
    setMaxListeners(0, this.#changes);
  }

  get run(): RunView {
    return this.#history.run;
  }

  publish(change: Change): void {
    this.#record(change);
    this.#sequence += 1;
    this.#recent.push({ ...change, id: this.#id(this.#sequence) } as FeedEvent);
    if (this.#recent.length > MAX_RECENT) this.#recent = this.#recent.slice(-MAX_RECENT);
    this.#changes.dispatchEvent(new Event('change'));
  }

  /**
   * What has happened since the event of that id, else the whole history; then what happens. A reader that falls behind gets the
   * history anew instead of what it missed. Ends when the signal aborts.
   */
  async *follow(lastId: string | undefined, signal: AbortSignal): AsyncGenerator<FeedEvent, void, void> {
    let seen = this.#sequenceOf(lastId);
    while (!signal.aborted) {
      if (seen === undefined || seen < this.#sequence - this.#recent.length) {
        seen = this.#sequence;
        yield { name: 'history', data: this.#history.snapshot(), id: this.#id(seen) };
        continue;
      }
      const next = this.#recent.at(seen - this.#sequence + this.#recent.length);
      if (seen < this.#sequence && next) {
        seen += 1;
        yield next;
        continue;
      }
      await once(this.#changes, 'change', { signal }).catch(() => undefined);
    }
  }

  #record({ name, data }: Change): void {
    if (name === 'run') this.#history.setRun(data);
    else if (name === 'step') this.#history.addStep(data);
    else if (name === 'gate') this.#history.setRun({ ...this.#history.run, gate: data });
    else if (name === 'validation') this.#history.addValidation(data);
    else this.#history.addOther(name === 'other' ? data : checkpointEvent(data));
  }

  readonly #id = (sequence: number): string => `${this.#epoch}-${sequence}`;

  #sequenceOf(id: string | undefined): number | undefined {
    const [epoch, sequence] = id?.split('-') ?? [];
    const number = Number(sequence);
    const known =
      epoch === this.#epoch && Number.isInteger(number) && number >= 0 && number <= this.#sequence;
    return known ? number : undefined;
  }
}

const checkpointEvent = ({ path, step, savedAt }: RunEvents['checkpoint']): OtherRunEvent => ({
  name: 'checkpoint',
  at: savedAt,
  fields: { path, step: String(step) },
});
