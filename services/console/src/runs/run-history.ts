import type { OtherRunEvent, RunEvents, RunView, StepPoint, ValidationPoint } from '../wire.ts';

/** Points of a curve that are kept: more than a wide screen has pixels. */
export const MAX_STEPS = 2_000;
const MAX_VALIDATIONS = 1_000;
const MAX_OTHERS = 200;

/** What is known of a run's past: what the trainer remembered when it was asked, and what it told since. */
export class RunHistory {
  #run: RunView;
  #steps: StepPoint[] = [];
  #validations: ValidationPoint[] = [];
  #others: OtherRunEvent[] = [];

  constructor(run: RunView) {
    this.#run = run;
    if (run.latest) this.#steps.push(run.latest);
    if (run.validation) this.#validations.push(run.validation);
  }

  get run(): RunView {
    return this.#run;
  }

  setRun(run: RunView): void {
    this.#run = run;
  }

  /** A step that was seen before, or that a resumed run does again, replaces what came after it. */
  addStep(point: StepPoint): void {
    this.#steps = append(this.#steps, point);
    if (this.#steps.length <= MAX_STEPS) return;
    // Every second point of the older half: recent steps keep their resolution.
    const half = MAX_STEPS / 2;
    this.#steps = this.#steps.filter((_, i) => i >= half || i % 2 === 0);
  }

  addValidation(point: ValidationPoint): void {
    this.#validations = append(this.#validations, point).slice(-MAX_VALIDATIONS);
  }

  addOther(event: OtherRunEvent): void {
    this.#others = [...this.#others, event].slice(-MAX_OTHERS);
  }

  snapshot(): RunEvents['history'] {
    return { run: this.#run, steps: this.#steps, validations: this.#validations, others: this.#others };
  }
}

function append<P extends { readonly step: number }>(points: P[], point: P): P[] {
  const last = points.at(-1);
  if (!last || last.step < point.step) {
    points.push(point);
    return points;
  }
  return [...points.filter(({ step }) => step < point.step), point];
}
