import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import { stripModulePrefix } from '../naming/chinese-clip.ts';
import { describe, type PickleDict, type PickleValue } from '../pickle/values.ts';
import type { RandomAccessFile } from '../random-access-file.ts';
import type { TensorFile } from '../tensor-file.ts';
import type { TorchContainer } from './container.ts';
import { openLegacyContainer } from './legacy-container.ts';
import { openOptimizer } from './optimizer-reader.ts';
import { toPlain } from './plain-values.ts';
import { StoredView } from './tensors.ts';
import { ViewReader } from './view-reader.ts';
import { openZipContainer } from './zip-container.ts';

/** Opens a .pt of {epoch, step, name, state_dict, optimizer, extra}, or a bare state_dict. Closing the result closes the file. */
export async function openTorchFile(file: RandomAccessFile, isZip: boolean): Promise<TensorFile> {
  const container = isZip ? await openZipContainer(file) : openLegacyContainer(file);
  const { root } = container;
  if (!(root instanceof Map))
    throw new InvalidInputError(`holds ${describe(root)}, not a checkpoint or state_dict`, {
      place: file.path,
    });
  const isBare = !root.has('state_dict');
  const views = readStateDict(isBare ? root : root.get('state_dict'), file.path);
  const reader = new ViewReader(container);
  const optimizer = isBare ? null : (root.get('optimizer') ?? null);
  return {
    path: file.path,
    format: container.format,
    bytes: file.size,
    details: isBare ? {} : readDetails(root, container),
    tensors: new Map([...views].map(([name, { storage, shape }]) => [name, { type: storage.type, shape }])),
    ...(optimizer === null
      ? {}
      : {
          optimizer: await openOptimizer(optimizer, stripModulePrefix(views, file.path), reader, file.path),
        }),
    read: (name) => reader.read(requireView(views, name, file.path), name),
    close: () => file.close(),
  };
}

function readStateDict(value: PickleValue | undefined, place: string): Map<string, StoredView> {
  if (!(value instanceof Map))
    throw new DataLossError(`state_dict is ${describe(value)}, not a dict`, { place });
  const views = new Map<string, StoredView>();
  for (const [name, view] of value) {
    if (typeof name !== 'string' || !(view instanceof StoredView))
      throw new InvalidInputError(
        `"${String(name)}" is ${describe(view)}; a state_dict holds tensors by name only`,
        { place },
      );
    views.set(name, view);
  }
  return views;
}

function readDetails(root: PickleDict, { file }: TorchContainer): TensorFile['details'] {
  const optional = <T>(key: string, type: 'number' | 'string'): T | undefined => {
    const value = root.get(key) ?? undefined;
    if (value === undefined || typeof value === type) return value as T | undefined;
    throw new DataLossError(`is ${describe(value)}, not a ${type}`, { place: `${file.path}: ${key}` });
  };
  const extra = root.get('extra') ?? null;
  if (extra !== null && !(extra instanceof Map))
    throw new DataLossError(`is ${describe(extra)}, not a dict`, { place: `${file.path}: extra` });
  return {
    epoch: optional<number>('epoch', 'number'),
    step: optional<number>('step', 'number'),
    name: optional<string>('name', 'string'),
    extra:
      extra === null ? undefined : (toPlain(extra, `${file.path}: extra`) as TensorFile['details']['extra']),
  };
}

function requireView(views: ReadonlyMap<string, StoredView>, name: string, place: string): StoredView {
  const view = views.get(name);
  if (!view) throw new InvalidInputError(`has no tensor "${name}"`, { place });
  return view;
}
