import { DataLossError, InvalidInputError, UnsupportedError } from '@online-cnclip/foundation';
import type { StoredType } from '../element-types.ts';
import type { PickleEnvironment } from '../pickle/interpreter.ts';
import { describe, PickleGlobal, PickleObject, PickleTuple, type PickleValue } from '../pickle/values.ts';

/** The class of a storage, e.g. torch.FloatStorage. */
export class StorageType extends PickleGlobal {
  readonly type: StoredType;
  constructor(name: string, type: StoredType) {
    super(name);
    this.type = type;
  }
}

/** A run of elements somewhere in the file, named by its key. */
export class Storage extends PickleObject {
  readonly key: string;
  readonly type: StoredType;
  readonly length: number;
  constructor(key: string, type: StoredType, length: number) {
    super();
    this.key = key;
    this.type = type;
    this.length = length;
  }
}

/** A strided view of a storage; offset and strides count elements and were checked against its length. */
export class StoredView extends PickleObject {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[]) {
    super();
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const STORAGE_TYPES: Readonly<Record<string, StoredType>> = {
  'torch.DoubleStorage': 'float64',
  'torch.FloatStorage': 'float32',
  'torch.HalfStorage': 'float16',
  'torch.BFloat16Storage': 'bfloat16',
  'torch.LongStorage': 'int64',
  'torch.IntStorage': 'int32',
  'torch.ShortStorage': 'int16',
  'torch.CharStorage': 'int8',
  'torch.ByteStorage': 'uint8',
  'torch.BoolStorage': 'bool',
  'torch.storage.UntypedStorage': 'uint8',
};

/** What the pickles of torch.save may name; the place is the file's path, for errors. */
export function torchEnvironment(place: string): PickleEnvironment {
  const globals = new Map<string, PickleGlobal>(
    Object.entries(STORAGE_TYPES).map(([name, type]) => [name, new StorageType(name, type)]),
  );
  const allow = (name: string, call: (args: readonly PickleValue[]) => PickleValue) =>
    globals.set(name, new PickleGlobal(name, call));
  allow('collections.OrderedDict', (args) => orderedDict(args, place));
  allow('torch.Size', ([items]) => (items instanceof PickleTuple ? items : new PickleTuple([])));
  allow('torch._utils._rebuild_tensor_v2', (args) => rebuildTensor(args, place));
  allow('torch._utils._rebuild_parameter', ([tensor]) => {
    if (tensor instanceof StoredView) return tensor;
    throw damaged(`a parameter is ${describe(tensor)}, not a tensor`, place);
  });
  return {
    global: (module, name) => globals.get(`${module}.${name}`),
    persistentLoad: (id) => loadStorage(id, place),
  };
}

const damaged = (what: string, place: string) => new DataLossError(what, { place });

/** Always called empty by torch.save (entries follow as SETITEMS), or with a list of pairs by Python 2. */
function orderedDict([pairs]: readonly PickleValue[], place: string): PickleValue {
  if (pairs === undefined) return new Map();
  if (Array.isArray(pairs) && pairs.length === 0) return new Map();
  throw new InvalidInputError('an OrderedDict with arguments is not supported', { place });
}

/** ('storage', type, key, location, number of elements[, view metadata of the legacy format]) */
function loadStorage(id: PickleValue, place: string): Storage {
  const [tag, type, key, , length, view = null] = id instanceof PickleTuple ? id.items : [];
  if (tag !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(length))
    throw damaged(`a persistent id is ${describe(id)}, not a storage's`, place);
  if (view !== null)
    throw new UnsupportedError(`storage "${key}" is a view of another, as torch 0.3 wrote it`, { place });
  return new Storage(key, type.type, length);
}

function rebuildTensor(args: readonly PickleValue[], place: string): StoredView {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof Storage)) throw damaged(`a tensor's storage is ${describe(storage)}`, place);
  const shape = counts(size);
  const strides = counts(stride);
  if (!isCount(offset) || !shape || !strides || shape.length !== strides.length)
    throw damaged(`a tensor of storage "${storage.key}" has no valid offset, size and stride`, place);
  const end = offset + spanOf(shape, strides);
  if (!(end <= storage.length))
    throw damaged(
      `a tensor [${shape}] with strides [${strides}] needs ${end} elements of storage "${storage.key}", which has ${storage.length}`,
      place,
    );
  return new StoredView(storage, offset, shape, strides);
}

/** Elements from the first to the last one of a view, both included. */
export function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((span, size, axis) => span + (size - 1) * (strides[axis] as number), 1);
}

export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}

// Far more than any tensor has; keeps a lying header from costing time.
const MAX_RANK = 16;

function counts(value: PickleValue | undefined): number[] | undefined {
  if (!(value instanceof PickleTuple) || value.items.length > MAX_RANK) return undefined;
  return value.items.every(isCount) ? (value.items as number[]) : undefined;
}

const isCount = (value: PickleValue | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
