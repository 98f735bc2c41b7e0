import type { PickleValue } from '../pickle/values.ts';
import type { RandomAccessFile } from '../random-access-file.ts';
import type { Storage } from './tensors.ts';

export interface StoredBytes {
  readonly position: number;
  readonly length: number;
  /** Of all the bytes; only the zip format has one. */
  readonly crc32?: number;
}

/** What torch.save wrote, in either file format: one object, and storages found by key. */
export interface TorchContainer {
  readonly format: 'torch-zip' | 'torch-legacy';
  readonly file: RandomAccessFile;
  readonly root: PickleValue;
  /** @throws DataLossError when the file has no such storage, or one of another length. */
  locate(storage: Storage): Promise<StoredBytes>;
}
