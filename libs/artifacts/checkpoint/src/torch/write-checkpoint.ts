import {
  InvalidInputError,
  type NamedArrays,
  type NdArray,
  replaceFileAtomically,
} from '@online-cnclip/foundation';
import type {
  Checkpoint,
  OptimizerKind,
  OptimizerSettings,
  OptimizerState,
  Precision,
} from '../checkpoint.ts';
import { encode, type StoredType } from '../element-types.ts';
import { isBuffer, MODULE_PREFIX, optimizerGroups } from '../naming/chinese-clip.ts';
import {
  type PickleDict,
  PickleFloat,
  PickleGlobal,
  PickleTuple,
  type PickleValue,
} from '../pickle/values.ts';
import { PickleCall, PicklePersistentId, writePickle } from '../pickle/writer.ts';
import { fromPlain } from './plain-values.ts';
import { writeZip, type ZipEntry } from './zip-writer.ts';

export interface WriteOptions {
  /** Of the parameters in the file (default fp32). Moments of the optimizer always stay float32. */
  readonly precision?: Precision;
  /** Whether names carry `module.` as the research code's do (default true). */
  readonly modulePrefix?: boolean;
}

// An optimizer without settings: the research code's values for ViT, and no rate (its schedule sets one each step).
const DEFAULT_SETTINGS: OptimizerSettings = {
  learningRate: 0,
  beta1: 0.9,
  beta2: 0.98,
  eps: 1e-6,
  weightDecay: 0.01,
};

/**
 * Writes torch's zip format, readable by `torch.load(path, weights_only=True)`: {epoch, step, name, state_dict,
 * optimizer, extra} (absent fields are left out), the optimizer as torch's AdamW or apex's FusedLAMB lays it out.
 * The path holds the old content or the whole new one, whatever interrupts the writing.
 *
 * @throws InvalidInputError when a moment does not belong to a parameter, or `extra` is not plain data.
 */
export async function writeCheckpoint(
  path: string,
  checkpoint: Checkpoint,
  options: WriteOptions = {},
): Promise<void> {
  const storages = new StorageList();
  const root: PickleDict = new Map();
  for (const key of ['epoch', 'step', 'name'] as const)
    if (checkpoint[key] !== undefined) root.set(key, checkpoint[key]);
  root.set('state_dict', stateDict(checkpoint.parameters, storages, options));
  if (checkpoint.optimizer)
    root.set('optimizer', optimizerDict(checkpoint.optimizer, checkpoint.parameters, storages));
  if (checkpoint.extra) root.set('extra', fromPlain(checkpoint.extra, 'extra'));
  const entries: ZipEntry[] = [
    textEntry('data.pkl', writePickle(root)),
    textEntry('byteorder', 'little'),
    ...storages.entries,
    textEntry('version', '3\n'),
  ];
  await replaceFileAtomically(path, (temporaryPath) => writeZip(temporaryPath, entries));
}

// Any name will do: torch takes it from the first entry.
const ARCHIVE = 'archive';

const textEntry = (name: string, content: string | Buffer): ZipEntry => ({
  name: `${ARCHIVE}/${name}`,
  content: () => Buffer.from(content),
});

const STORAGE_CLASSES: Partial<Record<StoredType, string>> = {
  float32: 'torch.FloatStorage',
  float16: 'torch.HalfStorage',
  bfloat16: 'torch.BFloat16Storage',
  int64: 'torch.LongStorage',
  int32: 'torch.IntStorage',
  uint8: 'torch.ByteStorage',
  bool: 'torch.BoolStorage',
};
const STORED_AS = { fp32: 'float32', fp16: 'float16', bf16: 'bfloat16' } as const;

/** Numbers the storages while the pickle is built, and encodes each only when it is written. */
class StorageList {
  readonly entries: ZipEntry[] = [];

  add(array: NdArray, precision: Precision = 'fp32'): PickleValue {
    const type: StoredType = array.dtype === 'float32' ? STORED_AS[precision] : array.dtype;
    const key = String(this.entries.length);
    this.entries.push({ name: `${ARCHIVE}/data/${key}`, content: () => encode(array, type) });
    const storage = new PicklePersistentId(
      new PickleTuple([
        'storage',
        new PickleGlobal(STORAGE_CLASSES[type] as string),
        key,
        'cpu',
        array.data.length,
      ]),
    );
    const hooks = new PickleCall(new PickleGlobal('collections.OrderedDict'), []);
    const shape = new PickleTuple(array.shape);
    const strides = new PickleTuple(denseStrides(array.shape));
    const rebuild = new PickleGlobal('torch._utils._rebuild_tensor_v2');
    return new PickleCall(rebuild, [storage, 0, shape, strides, false, hooks]);
  }
}

function denseStrides(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape.toReversed()) {
    strides.unshift(stride);
    stride *= size;
  }
  return strides;
}

function stateDict(
  parameters: NamedArrays,
  storages: StorageList,
  { precision = 'fp32', modulePrefix = true }: WriteOptions,
): PickleDict {
  const prefix = modulePrefix ? MODULE_PREFIX : '';
  return new Map([...parameters].map(([name, array]) => [prefix + name, storages.add(array, precision)]));
}

function optimizerDict(
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
