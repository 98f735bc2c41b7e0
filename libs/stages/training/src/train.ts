import type { TrainingEvent, TrainingResult } from './events.ts';
import { openTraining } from './open-training.ts';
import type { TrainingOptions } from './options.ts';
import type { TrainingPorts } from './ports.ts';
import { TrainingRun } from './training-run.ts';

export interface TrainHooks {
  /** Stops after the step in hand, and saves. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainingEvent) => void;
}

/**
 * Trains as the options say: the research code's offline training, with its files. Resumes by itself from the
 * experiment's latest checkpoint.
 *
 * @throws InvalidInputError, NotFoundError and FailedPreconditionError naming the option, file or tensor that does not
 *   fit; DataLossError for a damaged file.
 */
export async function train(
  options: TrainingOptions,
  ports: TrainingPorts,
  { signal, onEvent = () => {} }: TrainHooks = {},
): Promise<TrainingResult> {
  const opened = await openTraining(options, ports, onEvent);
  try {
    return await new TrainingRun(opened, ports.recall, onEvent, signal).run();
  } finally {
    await opened.close();
  }
}
