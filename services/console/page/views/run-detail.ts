import type {
  CheckpointView,
  OtherRunEvent,
  RunEvents,
  RunView,
  StepPoint,
  ValidationPoint,
} from '../../src/wire.ts';
import { get, post } from '../api.ts';
import { Chart } from '../chart.ts';
import { type Child, fill, h } from '../dom.ts';
import { action, announce, Notice } from '../feedback.ts';
import { byteSize, dateTime, duration, message, named, number, significant } from '../language.ts';
import { watch } from '../live.ts';
import { badge } from './badge.ts';

const GOING_ON = new Set(['starting', 'running']);

/** Everything about one run, live. */
export function runDetail(name: string, signal: AbortSignal): readonly Child[] {
  return new RunDetail(name, signal).elements();
}

class RunDetail {
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #notice = new Notice();
  readonly #state = h('span', {});
  readonly #head = h('div', { class: 'run-head' });
  readonly #online = h('div', { class: 'online' });
  readonly #live = h('span', { class: 'live', role: 'status' });
  readonly #stop = h('button', { class: 'danger', hidden: true }, message('stopRun'));
  readonly #checkpoints = h('tbody', {});
  readonly #others = h('ol', { class: 'events' });
  readonly #options = h('dl', { class: 'options' });
  readonly #loss: Chart;
  readonly #rate: Chart;
  readonly #recall: Chart;
  #run: RunView | undefined;
  #steps: StepPoint[] = [];
  #validations: ValidationPoint[] = [];
  #drawing = false;

  constructor(name: string, signal: AbortSignal) {
    this.#name = name;
    this.#signal = signal;
    const curve = (label: string, color: number) => ({ label, color: `--chart-${color}` });
    this.#loss = new Chart(
      message('lossChart'),
      [curve(message('trainLoss'), 1), curve(message('validLoss'), 2)],
      signal,
    );
    this.#rate = new Chart(message('rateChart'), [curve(message('learningRate'), 3)], signal);
    const recalls = [curve('R@1', 1), curve('R@5', 2), curve('R@10', 3), curve(message('mean'), 4)];
    this.#recall = new Chart(message('recallChart'), recalls, signal);
    action(this.#stop, this.#notice, async () => {
      await post<RunView>(`${this.#path}/stop`, {}, signal);
      announce(message('runStopped', { name }));
    });
    this.#watch();
    void this.#loadCheckpoints();
  }

  get #path(): string {
    return `/api/runs/${encodeURIComponent(this.#name)}`;
  }

  elements(): readonly Child[] {
    const columns = ['checkpointFile', 'step', 'size', 'savedAt'] as const;
    return [
      h(
        'div',
        { class: 'row between' },
        h('span', { class: 'row' }, h('h2', {}, this.#name), this.#state),
        h('span', { class: 'row' }, this.#live, this.#stop),
      ),
      this.#notice.element,
      this.#head,
      this.#online,
      h('div', { class: 'charts' }, this.#loss.element, this.#recall.element, this.#rate.element),
      h('h3', {}, message('checkpoints')),
      h(
        'div',
        { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': message('checkpoints') },
        h(
          'table',
          {},
          h('thead', {}, h('tr', {}, ...columns.map((key) => h('th', { scope: 'col' }, message(key))))),
          this.#checkpoints,
        ),
      ),
      this.#others,
      h('details', {}, h('summary', {}, message('options')), this.#options),
    ];
  }

  #watch(): void {
    watch<RunEvents>(
      `${this.#path}/events`,
      {
        history: ({ run, steps, validations, others }) => {
          this.#steps = [...steps];
          this.#validations = [...validations];
          this.#showRun(run);
          fill(this.#others, ...others.filter(({ name }) => name !== 'checkpoint').map(otherEvent));
          this.#draw();
        },
        run: (run) => this.#showRun(run),
        step: (point) => {
          this.#steps = upTo(this.#steps, point);
          this.#draw();
        },
        validation: (point) => {
          this.#validations = upTo(this.#validations, point);
          this.#draw();
        },
        gate: (gate) => this.#run && this.#showRun({ ...this.#run, gate }),
        checkpoint: () => void this.#loadCheckpoints(),
        other: (event) => this.#others.append(otherEvent(event)),
      },
      {
        signal: this.#signal,
        onLive: (live) => fill(this.#live, message(live ? 'live' : 'reconnecting')),
        onFailure: (text) => this.#notice.warn(text),
      },
    );
  }

  #showRun(run: RunView): void {
    if (this.#run && this.#run.state !== run.state) announce(`${run.name}: ${named('run', run.state)}`);
    this.#run = run;
    fill(this.#state, badge('run', run.state));
    this.#stop.hidden = !GOING_ON.has(run.state);
    if (run.error) this.#notice.error(new Error(run.error));
    fill(
      this.#options,
      ...Object.entries(run.options).map(([name, value]) =>
        h('div', {}, h('dt', {}, name), h('dd', {}, value)),
      ),
    );
    fill(this.#online, ...onlineParts(run));
    this.#showHead();
  }

  #showHead(): void {
    const run = this.#run;
    if (!run) return;
    const latest = this.#steps.at(-1) ?? run.latest;
    const step = Math.max(run.step, latest?.step ?? 0);
    const facts: [string, string][] = [
      [message('step'), `${number(step)} / ${number(run.totalSteps)}`],
      [message('epoch'), `${number(run.epoch)} / ${number(run.totalEpochs)}`],
      [message('speed'), latest ? message('pairsPerSecond', { pairs: number(latest.pairsPerSecond) }) : '–'],
      [message('startedAt'), dateTime(run.startedAt)],
      GOING_ON.has(run.state)
        ? [message('eta'), latest ? duration(latest.etaSeconds) : '–']
        : [message('endedAt'), dateTime(run.endedAt)],
    ];
    fill(
      this.#head,
      h('progress', { max: run.totalSteps || 1, value: step, 'aria-label': message('progress') }),
      h(
        'dl',
        { class: 'inline' },
        ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
      ),
    );
  }

  /** Once per frame, however fast events come. */
  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (this.#signal.aborted) return;
      const steps = this.#steps;
      this.#loss.set(lossData(steps, this.#validations));
      this.#rate.set([steps.map(({ step }) => step), steps.map(({ learningRate }) => learningRate)]);
      // Online runs, and those without validation data, have none.
      this.#recall.element.hidden = this.#validations.length === 0;
      const recalls = ['recallAt1', 'recallAt5', 'recallAt10', 'meanRecall'] as const;
      this.#recall.set([
        this.#validations.map(({ step }) => step),
        ...recalls.map((key) => this.#validations.map((point) => point[key])),
      ]);
      this.#showHead();
    });
  }

  async #loadCheckpoints(): Promise<void> {
    try {
      const checkpoints = await get<CheckpointView[]>(`${this.#path}/checkpoints`, this.#signal);
      fill(
        this.#checkpoints,
        ...checkpoints.map(({ path, step, bytes, savedAt }) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row' }, path.split('/').at(-1), h('span', { class: 'hint' }, path)),
            h('td', {}, number(step)),
            h('td', {}, byteSize(bytes)),
            h('td', {}, dateTime(savedAt)),
          ),
        ),
        checkpoints.length === 0 && h('tr', {}, h('td', { colspan: 4 }, message('noCheckpoints'))),
      );
    } catch (error) {
      this.#notice.error(error);
    }
  }
}

/** The gate's verdict and what online learning did in all; nothing for other runs. */
function onlineParts({ gate, online, servedCheckpoint }: RunView): Child[] {
  const percent = (value: number | null) => (value === null ? '–' : `${number(value, 2)} %`);
  const facts = (pairs: readonly (readonly [string, string])[]) =>
    h(
      'dl',
      { class: 'inline' },
      ...pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    );
  const verdict =
    gate &&
    facts([
      [message('gateBefore'), percent(gate.before)],
      [message('gateAfter'), percent(gate.after)],
      [message('gateDrop'), number(gate.drop, 2)],
      [message('gateMaxDrop'), gate.maxDrop || message('any')],
      [message('servedCheckpoint'), servedCheckpoint || message('none')],
    ]);
  const report = Object.entries(online);
  return [
    gate &&
      h(
        'section',
        { class: 'panel gate', 'aria-label': message('gate') },
        h(
          'div',
          { class: 'row' },
          h('h3', {}, message('gate')),
          badge('gate', gate.passed ? 'passed' : 'refused'),
        ),
        verdict,
      ),
    report.length > 0 && h('details', {}, h('summary', {}, message('onlineReport')), facts(report)),
  ];
}

/** A resumed run does steps again: what it did before is replaced. */
function upTo<P extends { readonly step: number }>(points: readonly P[], point: P): P[] {
  const last = points.at(-1);
  return last && last.step >= point.step
    ? [...points.filter(({ step }) => step < point.step), point]
    : [...points, point];
}

/** Both losses over the steps of either. */
function lossData(
  steps: readonly StepPoint[],
  validations: readonly ValidationPoint[],
): [number[], ...(number | null)[][]] {
  const training = new Map(steps.map(({ step, loss }) => [step, loss]));
  const validation = new Map(validations.map(({ step, loss }) => [step, loss]));
  const all = [...new Set([...training.keys(), ...validation.keys()])].sort((a, b) => a - b);
  return [
    all,
    all.map((step) => training.get(step) ?? null),
    all.map((step) => validation.get(step) ?? null),
  ];
}

/** An event that a later contract brought: its name and fields as they are. */
function otherEvent({ name, at, fields }: OtherRunEvent): HTMLElement {
  const shown = Object.entries(fields).map(([key, value]) => {
    const number = Number(value);
    const text =
      value !== '' && !Number.isInteger(number) && Number.isFinite(number) ? significant(number) : value;
    return h('div', {}, h('dt', {}, key), h('dd', {}, text));
  });
  return h(
    'li',
    {},
    h('strong', {}, name),
    h('time', {}, dateTime(at)),
    h('dl', { class: 'inline' }, ...shown),
  );
}
