import { existsSync } from 'node:fs';
import { NotFoundError } from '@online-cnclip/foundation';
import { resolveModelConfig } from '@online-cnclip/network';
import { kebabCase } from './option-fields.ts';
import type { TrainingOptions } from './options.ts';

/** Options that name something that must be there before a run starts. */
const INPUTS = ['trainData', 'valData', 'resume', 'clipWeightPath', 'bertWeightPath'] as const;

/**
 * What can be said of a run without starting it, at once: that its models are known and its inputs are there.
 *
 * @throws InvalidInputError for an unknown model, NotFoundError for a missing input, each naming the option.
 */
export function checkTrainingInputs(options: TrainingOptions): void {
  resolveModelConfig(options.visionModel, options.textModel);
  for (const name of INPUTS) {
    const path = options[name];
    if (path !== null && !existsSync(path))
      throw new NotFoundError(`there is no ${JSON.stringify(path)}`, { place: kebabCase(name) });
  }
}
