import { type AdaptEvent, type AdaptResult, leftOutText, maxDropText } from '@online-cnclip/training';
import type { Progress, ProgressTask } from './progress.ts';

/** An adaptation on the terminal: a bar of its steps, and a line for all else that happens. */
export class AdaptationView {
  readonly #progress: Progress;
  #task: ProgressTask | undefined;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  show(event: AdaptEvent): void {
    switch (event.kind) {
      case 'started':
        this.#task = this.#progress.start('online steps', event.totalSteps);
        break;
      case 'online-step':
        this.#task?.update(event.step, detail(event), event.etaSeconds);
        break;
      case 'log':
        this.#progress.note(event.level === 'INFO' ? event.message : `${event.level}: ${event.message}`);
        break;
      case 'gate':
      case 'checkpoint':
        break;
    }
  }

  end(): void {
    this.#task?.end();
    this.#task = undefined;
  }
}

function detail({ loss, pairs, queries }: Extract<AdaptEvent, { kind: 'online-step' }>): string {
  const found = `${pairs} of ${queries} queries with an image`;
  return loss === undefined ? found : `loss ${loss.toFixed(4)}, ${found}`;
}

/** What an adaptation did, for a person. */
export function summaryLines({ outcome, online, gate, checkpoint }: AdaptResult): string[] {
  const { scope, transductive, source, steps, pairs, queries, cached, replayed, seconds, waitSeconds } =
    online;
  const kind = transductive ? 'transductive: the scored queries themselves' : 'other queries only';
  const missing = leftOutText(online);
  return [
    `${outcome}: ${steps} online steps, scope ${scope} (${kind})`,
    `images (${source}): ${pairs} for ${queries} queries, ${cached} of them cached${missing && `; left out: ${missing}`}`,
    ...(replayed > 0 ? [`replayed: ${replayed} pairs of the training set`] : []),
    `took ${seconds.toFixed(1)} s, ${waitSeconds.toFixed(1)} s of them waiting for images`,
    ...(gate
      ? [
          `gate ${gate.passed ? 'passed' : 'not passed'}: mean recall ${gate.before.meanRecall.toFixed(2)} before, ${gate.after.meanRecall.toFixed(2)} after` +
            (gate.maxDrop ? `, a fall of ${maxDropText(gate.maxDrop)} allowed` : ''),
        ]
      : ['gate: not measured (--gate-data)']),
    ...(checkpoint === undefined ? [] : [`saved ${checkpoint}`]),
  ];
}
