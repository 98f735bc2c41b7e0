import { rmSync } from 'node:fs';
import { join } from 'node:path';
import yauzl from 'yauzl';
import { bytesOf } from '../element-types.ts';
import { PickleGlobal, PickleTuple, type PickleValue } from '../pickle/values.ts';
import { PickleCall, PicklePersistentId, writePickle } from '../pickle/writer.ts';
import { RandomAccessFile } from '../random-access-file.ts';
import { openZipContainer } from '../torch/zip-container.ts';
import { writeZip } from '../torch/zip-writer.ts';

export interface ViewSpec {
  readonly key?: string;
  readonly type?: string;
  readonly length: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A tensor as torch.save pickles it, with whatever numbers a test needs. */
export function pickledView(spec: ViewSpec): PickleValue {
  const { key = '0', type = 'torch.FloatStorage', length, offset = 0, shape, strides } = spec;
  const id = new PickleTuple(['storage', new PickleGlobal(type), key, 'cpu', length]);
  return new PickleCall(new PickleGlobal('torch._utils._rebuild_tensor_v2'), [
    new PicklePersistentId(id),
    offset,
    new PickleTuple(shape),
    new PickleTuple(strides),
    false,
    new PickleCall(new PickleGlobal('collections.OrderedDict'), []),
  ]);
}

/** Writes a .pt of one pickle and storages 0, 1, ... as they are. */
export async function writeTorchZip(
  folder: string,
  pickle: PickleValue | Buffer,
  storages: readonly ArrayBufferView[],
): Promise<string> {
  const path = join(folder, 'made.pt');
  rmSync(path, { force: true });
  const bytes = Buffer.isBuffer(pickle) ? pickle : writePickle(pickle);
  await writeZip(path, [
    { name: 'made/data.pkl', content: () => bytes },
    ...storages.map((data, key) => ({ name: `made/data/${key}`, content: () => bytesOf(data) })),
  ]);
  return path;
}

/** The pickled object of a .pt, to look at what readCheckpoint hides. */
// biome-ignore lint/suspicious/noExplicitAny: a test walks it as the Python dict that it is.
export async function openTorchPickle(path: string): Promise<Map<string, any>> {
  const file = await RandomAccessFile.open(path);
  try {
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    return (await openZipContainer(file)).root as Map<any, any>;
  } finally {
    await file.close();
  }
}

/** The entries of a zip by name, in their order. */
export async function readZip(path: string): Promise<Map<string, Buffer>> {
  const zip = await yauzl.openPromise(path, { autoClose: false });
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
    entries.set(entry.fileName, Buffer.concat(chunks));
  }
  zip.close();
  return entries;
}
