import { DataLossError, InvalidInputError, type NdArray } from '@online-cnclip/foundation';
import type { OptimizerKind, OptimizerSettings, OptimizerState } from '../checkpoint.ts';
import { isBuffer, optimizerGroups, withoutModulePrefix } from '../naming/chinese-clip.ts';
import { describe, type PickleDict, PickleTuple, type PickleValue } from '../pickle/values.ts';
import type { StoredOptimizer } from '../tensor-file.ts';
import { StoredView } from './tensors.ts';
import type { ViewReader } from './view-reader.ts';

interface Group {
  readonly options: PickleDict;
  readonly indices: readonly number[];
}

/**
 * Understands torch's optimizer.state_dict(): `state` by parameter index and `param_groups`. Names come from the
 * groups' `param_names` where there are (torch 2.6 and later, and this project's files); otherwise from the model's
 * parameters in the research code's grouping.
 */
export async function openOptimizer(
  value: PickleValue,
  parameters: ReadonlyMap<string, StoredView>,
  reader: ViewReader,
  path: string,
): Promise<StoredOptimizer> {
  const place = `${path}: optimizer`;
  const state = value instanceof Map ? value.get('state') : undefined;
  if (!(value instanceof Map) || !(state instanceof Map))
    throw new DataLossError(`is ${describe(value)} without a "state" dict`, { place });
  const groups = readGroups(value.get('param_groups'), place);
  const kind = kindOf(groups);
  const step = await readStep(state, groups, reader, place);
  const read = async (): Promise<OptimizerState> => {
    const names = parameterNames(groups, parameters, place);
    const settings = readSettings(groups, place);
    const moments = async (key: string) => {
      const arrays = new Map<string, NdArray>();
      for (const [index, name] of names) {
        const view = momentView(state.get(index), key, name, parameters, place);
        if (view) arrays.set(name, await reader.read(view, `${name} (${key})`));
      }
      return arrays;
    };
    return { kind, step, settings, expAvg: await moments('exp_avg'), expAvgSq: await moments('exp_avg_sq') };
  };
  return { kind, step, read };
}

function readGroups(value: PickleValue | undefined, place: string): Group[] {
  if (!Array.isArray(value)) throw new DataLossError('has no list of "param_groups"', { place });
  return value.map((options) => {
    const indices = options instanceof Map ? options.get('params') : undefined;
    if (!(options instanceof Map) || !Array.isArray(indices) || !indices.every(Number.isSafeInteger))
      throw new DataLossError('has a parameter group without a list of "params"', { place });
    return { options, indices: indices as number[] };
  });
}

function kindOf([group]: readonly Group[]): OptimizerKind | undefined {
  if (group?.options.has('max_grad_norm') && group.options.has('grad_averaging')) return 'lamb';
  return group?.options.has('amsgrad') ? 'adamw' : undefined;
}

/** LAMB counts steps in the group, Adam in each parameter's state (a scalar tensor, a number in old versions). */
async function readStep(
  state: PickleDict,
  groups: readonly Group[],
  reader: ViewReader,
  place: string,
): Promise<number> {
  const first = state.values().next().value;
  const step = groups[0]?.options.get('step') ?? (first instanceof Map ? first.get('step') : undefined) ?? 0;
  const number = step instanceof StoredView ? Number((await reader.read(step, 'step')).data[0]) : step;
  if (typeof number === 'number' && Number.isFinite(number) && number >= 0) return number;
  throw new DataLossError(`has ${describe(step)} as its step`, { place });
}

function parameterNames(
  groups: readonly Group[],
  parameters: ReadonlyMap<string, StoredView>,
  place: string,
): Map<number, string> {
  const names = storedNames(groups) ?? guessNames(groups, [...parameters.keys()], place);
  const indices = groups.flatMap((group) => group.indices);
  return new Map(indices.map((index, i) => [index, names[i] as string]));
}

function storedNames(groups: readonly Group[]): string[] | undefined {
  const names = groups.map(({ options, indices }) => {
    const list = options.get('param_names');
    const isComplete = Array.isArray(list) && list.length === indices.length;
    return isComplete && list.every((name) => typeof name === 'string') ? (list as string[]) : undefined;
  });
  if (names.includes(undefined)) return undefined;
  return names.flatMap((list) => (list as string[]).map(withoutModulePrefix));
}

/** All parameters, or all but the image tower's (freeze-vision), in two groups by decay or in a single one. */
function guessNames(groups: readonly Group[], all: readonly string[], place: string): string[] {
  const lengths = groups.map(({ indices }) => indices.length);
  for (const names of [all, all.filter((name) => !name.startsWith('visual.'))]) {
    const split = optimizerGroups(names);
    const candidates = groups.length === 1 ? [names.filter((name) => !isBuffer(name))] : split;
    const fits =
      candidates.length === lengths.length && candidates.every((part, i) => part.length === lengths[i]);
    if (fits) return candidates.flat();
  }
  throw new InvalidInputError(
    `has groups of ${lengths.join(' and ')} parameters, which do not fit the model's ${all.length} tensors`,
    { place },
  );
}

function momentView(
  state: PickleValue | undefined,
  key: string,
  name: string,
  parameters: ReadonlyMap<string, StoredView>,
  place: string,
): StoredView | undefined {
  if (state === undefined) return undefined; // A parameter that never had a gradient.
  const view = state instanceof Map ? state.get(key) : undefined;
  if (!(view instanceof StoredView))
    throw new InvalidInputError(`has no tensor "${key}" for ${name}: only Adam-like optimizers are read`, {
      place,
    });
  const shape = parameters.get(name)?.shape;
  if (shape?.join() !== view.shape.join())
    throw new DataLossError(
      `"${key}" of ${name} is [${view.shape}], the parameter is [${shape ?? 'missing'}]`,
      {
        place,
      },
    );
  return view;
}

function readSettings(groups: readonly Group[], place: string): OptimizerSettings {
  const options = groups.at(-1)?.options ?? new Map();
  const betas = options.get('betas');
  const [beta1, beta2] = betas instanceof PickleTuple ? betas.items : Array.isArray(betas) ? betas : [];
  const number = (value: PickleValue | undefined, option: string): number => {
    if (typeof value === 'number') return value;
    throw new DataLossError(`has ${describe(value)} as ${option}`, { place });
  };
  const clip = options.get('max_grad_norm');
  return {
    learningRate: number(options.get('lr'), 'lr'),
    beta1: number(beta1, 'betas'),
    beta2: number(beta2, 'betas'),
    eps: number(options.get('eps'), 'eps'),
    weightDecay: number(options.get('weight_decay'), 'weight_decay'),
    ...(typeof clip === 'number' ? { maxGradientNorm: clip } : {}),
  };
}
