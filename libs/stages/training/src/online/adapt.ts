import type { AdaptOptions } from './adapt-options.ts';
import type { AdaptHooks, AdaptPorts, AdaptResult } from './adapt-ports.ts';
import { AdaptationRun } from './adaptation-run.ts';
import { openAdaptation } from './open-adaptation.ts';

/**
 * Test-time online learning, as the research code's extract_features does it: from a checkpoint, one optimizer step per
 * batch of queries and epoch on images fetched for them; then the queries' features, and a checkpoint
 * `epoch{start}_online_{epochs}.pt` with the optimizer state it really has.
 *
 * The adapted weights are shadow weights: where a gate set is given, recall on it decides whether any file is written.
 * Files appear whole or not at all; a run that is stopped writes none, and started again does the same steps.
 *
 * @throws InvalidInputError, NotFoundError and FailedPreconditionError naming the option, file or tensor that does not
 *   fit; DataLossError for a damaged file; UnavailableError when images cannot be fetched at all.
 */
export async function adapt(
  options: AdaptOptions,
  ports: AdaptPorts,
  hooks: AdaptHooks = {},
): Promise<AdaptResult> {
  const opened = await openAdaptation(options, ports, hooks.onEvent ?? (() => {}));
  try {
    return await new AdaptationRun(opened, hooks).run();
  } finally {
    await opened.close();
  }
}
