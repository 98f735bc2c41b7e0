import { InvalidInputError, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import type { OptimizerKind, OptimizerSettings, OptimizerState } from '../checkpoint.ts';
import { isBuffer, optimizerGroups } from '../naming/chinese-clip.ts';
import { type PickleDict, PickleFloat, PickleTuple, type PickleValue } from '../pickle/values.ts';
import type { StorageList } from './storage-list.ts';

// An optimizer without settings: the research code's values for ViT, and no rate (its schedule sets one each step).
const DEFAULT_SETTINGS: OptimizerSettings = {
  learningRate: 0,
  beta1: 0.9,
  beta2: 0.98,
  eps: 1e-6,
  weightDecay: 0.01,
};

/**
 * The optimizer as `state_dict()` of torch's AdamW or apex's FusedLAMB: moments by parameter index, and the research
 * code's two groups with the names besides (`param_names`, as torch 2.6 and later write them).
 *
 * @throws InvalidInputError when a moment does not belong to a parameter.
 */
export function optimizerDict(
  optimizer: OptimizerState,
  parameters: NamedArrays,
  storages: StorageList,
): PickleDict {
  requireMoments(optimizer, parameters);
  const groups = optimizerGroups([...parameters.keys()].filter((name) => optimizer.expAvg.has(name)));
  const kind = optimizer.kind ?? 'adamw';
  const state: PickleDict = new Map();
  for (const [index, name] of groups.flat().entries()) {
    const entry: PickleDict = new Map();
    // One storage each: torch advances these tensors in place after loading.
    if (kind === 'adamw') entry.set('step', storages.add(scalar(optimizer.step)));
    entry.set('exp_avg', storages.add(optimizer.expAvg.get(name) as NdArray));
    entry.set('exp_avg_sq', storages.add(optimizer.expAvgSq.get(name) as NdArray));
    state.set(index, entry);
  }
  let first = 0;
  const paramGroups = groups.map((names, i) => {
    const group = groupOptions(kind, optimizer, i === 1);
    group.set('param_names', names);
    group.set(
      'params',
      names.map(() => first++),
    );
    return group;
  });
  return new Map<string, PickleValue>([
    ['state', state],
    ['param_groups', paramGroups],
  ]);
}

function requireMoments({ expAvg, expAvgSq }: OptimizerState, parameters: NamedArrays): void {
  for (const [label, arrays] of Object.entries({ expAvg, expAvgSq }))
    for (const [name, array] of arrays)
      if (
        isBuffer(name) ||
        parameters.get(name)?.shape.join() !== array.shape.join() ||
        array.dtype !== 'float32'
      )
        throw new InvalidInputError(`${label} "${name}" is not like a parameter`, { place: 'optimizer' });
  if (expAvg.size !== expAvgSq.size || [...expAvg.keys()].some((name) => !expAvgSq.has(name)))
    throw new InvalidInputError('expAvg and expAvgSq have different names', { place: 'optimizer' });
}

const scalar = (value: number): NdArray => ({
  dtype: 'float32',
  shape: [],
  data: Float32Array.of(value),
});

function groupOptions(kind: OptimizerKind, optimizer: OptimizerState, decays: boolean): PickleDict {
  const settings = optimizer.settings ?? DEFAULT_SETTINGS;
  const float = (value: number) => new PickleFloat(value);
  const common: [string, PickleValue][] = [
    ['lr', float(settings.learningRate)],
    ['betas', new PickleTuple([float(settings.beta1), float(settings.beta2)])],
    ['eps', float(settings.eps)],
    ['weight_decay', float(decays ? settings.weightDecay : 0)],
  ];
  const own: [string, PickleValue][] =
    kind === 'lamb'
      ? [
          ['bias_correction', true],
          ['grad_averaging', true],
          ['max_grad_norm', float(settings.maxGradientNorm ?? 1)],
          ['step', optimizer.step],
        ]
      : [
          ['amsgrad', false],
          ['foreach', null],
          ['maximize', false],
          ['capturable', false],
          ['differentiable', false],
          ['fused', null],
          ['decoupled_weight_decay', true],
        ];
  return new Map([...common, ...own]);
}
