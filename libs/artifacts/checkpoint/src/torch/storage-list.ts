import type { NdArray } from '@online-cnclip/foundation';
import type { Precision } from '../checkpoint.ts';
import { encode, type StoredType } from '../element-types.ts';
import { PickleGlobal, PickleTuple, type PickleValue } from '../pickle/values.ts';
import { PickleCall, PicklePersistentId } from '../pickle/writer.ts';
import type { ZipEntry } from './zip-writer.ts';

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
export class StorageList {
  /** By names within the archive's folder. */
  readonly entries: ZipEntry[] = [];

  add(array: NdArray, precision: Precision = 'fp32'): PickleValue {
    const type: StoredType = array.dtype === 'float32' ? STORED_AS[precision] : array.dtype;
    const key = String(this.entries.length);
    this.entries.push({ name: `data/${key}`, content: () => encode(array, type) });
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
