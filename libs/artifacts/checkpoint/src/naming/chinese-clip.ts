import { InvalidInputError } from '@online-cnclip/foundation';

/** Torch's DistributedDataParallel puts this before every name; the research code saves it so. */
export const MODULE_PREFIX = 'module.';

const BUFFERS = /(^|\.)(running_mean|running_var|num_batches_tracked|position_ids)$/;
// The substrings of the research code, in its order.
const WITHOUT_DECAY = ['bn', 'ln', 'bias', 'logit_scale'];

/** Tensors of a state_dict that are not parameters, so never in the optimizer. */
export const isBuffer = (name: string): boolean => BUFFERS.test(name);

/** Whether the research code decays the parameter's weight. */
export const hasWeightDecay = (name: string): boolean => !WITHOUT_DECAY.some((part) => name.includes(part));

/** The optimizer's two groups of parameters, in the research code's order: without decay, then with. */
export function optimizerGroups(names: Iterable<string>): [string[], string[]] {
  const parameters = [...names].filter((name) => !isBuffer(name));
  return [parameters.filter((name) => !hasWeightDecay(name)), parameters.filter(hasWeightDecay)];
}

export const withoutModulePrefix = (name: string): string =>
  name.startsWith(MODULE_PREFIX) ? name.slice(MODULE_PREFIX.length) : name;

/** Values by name without `module.`. @throws InvalidInputError when two names become one. */
export function stripModulePrefix<T>(values: ReadonlyMap<string, T>, place: string): Map<string, T> {
  const stripped = new Map([...values].map(([name, value]) => [withoutModulePrefix(name), value]));
  if (stripped.size !== values.size)
    throw new InvalidInputError('has tensors both with and without "module."', { place });
  return stripped;
}
