import type { LossScaleState } from '../train-step.ts';

/** Steps without overflow after which the scale grows. */
const GROWTH_INTERVAL = 2000;
const GROWTH = 2;
const BACKOFF = 0.5;
/** torch's GradScaler starts here. */
const INITIAL_SCALE = 2 ** 16;

/**
 * Dynamic loss scaling (Micikevicius et al., 2018): gradients are multiplied by a factor that keeps them within the range of
 * half precision. It grows while nothing overflows; a step that overflowed is left out, and the factor halved.
 */
export class LossScale {
  #state: LossScaleState;

  constructor(state: LossScaleState = { scale: INITIAL_SCALE, goodSteps: 0, skippedSteps: 0 }) {
    this.#state = state;
  }

  get state(): LossScaleState {
    return this.#state;
  }

  /** After a step whose gradients have overflowed, or have not. */
  update(hasOverflowed: boolean): void {
    const { scale, goodSteps, skippedSteps } = this.#state;
    if (hasOverflowed) this.#state = { scale: scale * BACKOFF, goodSteps: 0, skippedSteps: skippedSteps + 1 };
    else if (goodSteps + 1 < GROWTH_INTERVAL) this.#state = { scale, goodSteps: goodSteps + 1, skippedSteps };
    else this.#state = { scale: scale * GROWTH, goodSteps: 0, skippedSteps };
  }
}
