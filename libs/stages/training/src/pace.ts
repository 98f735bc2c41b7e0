/** Steps that the time left is estimated from: enough to be steady, few enough to follow a change of load. */
const WINDOW_STEPS = 50;

export interface StepDuration {
  /** Waited for the batch's data. */
  readonly dataSeconds: number;
  /** The whole step, the wait included. */
  readonly stepSeconds: number;
}

/** Throughput since the last report, and the pace by which the time left is estimated. */
export class Pace {
  #sinceReport: StepDuration[] = [];
  #window: number[] = [];
  #steps = 0;

  add(duration: StepDuration): void {
    this.#sinceReport.push(duration);
    // The first step pays for set-up: it counts only until there is a second one.
    if (this.#steps++ === 1) this.#window = [];
    this.#window.push(duration.stepSeconds);
    if (this.#window.length > WINDOW_STEPS) this.#window.shift();
  }

  /** Means since the last report, which this one becomes. */
  takeReport(): StepDuration {
    const steps = this.#sinceReport;
    this.#sinceReport = [];
    return {
      dataSeconds: mean(steps.map((step) => step.dataSeconds)),
      stepSeconds: mean(steps.map((step) => step.stepSeconds)),
    };
  }

  /** Of the latest steps; 0 before the first. */
  get secondsPerStep(): number {
    return mean(this.#window);
  }
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
