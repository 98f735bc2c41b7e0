import { DataLossError, InvalidInputError, UnsupportedError } from '@online-cnclip/foundation';
import { STORED_TYPES } from '../element-types.ts';
import { PickleInput } from '../pickle/input.ts';
import { readPickle } from '../pickle/interpreter.ts';
import type { PickleValue } from '../pickle/values.ts';
import type { RandomAccessFile } from '../random-access-file.ts';
import type { StoredBytes, TorchContainer } from './container.ts';
import { type Storage, torchEnvironment } from './tensors.ts';

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;

/**
 * Opens torch's format before 1.6: five pickles (magic number, protocol version, machine, the object, the
 * storages' keys), then for each key an int64 element count and the raw elements.
 */
export function openLegacyContainer(file: RandomAccessFile): TorchContainer {
  const place = file.path;
  const input = PickleInput.ofFile(file);
  const environment = torchEnvironment(place);
  if (readPickle(input, environment) !== MAGIC_NUMBER)
    throw new InvalidInputError("is a pickle, but not torch's: the magic number differs", { place });
  const version = readPickle(input, environment);
  if (version !== PROTOCOL_VERSION)
    throw new UnsupportedError(`has protocol version ${String(version)}, not ${PROTOCOL_VERSION}`, { place });
  const machine = readPickle(input, environment);
  if (machine instanceof Map && machine.get('little_endian') === false)
    throw new UnsupportedError('is big-endian; only little-endian files are read', { place });

  const storages = new Map<string, Storage>();
  const root = readPickle(input, {
    ...environment,
    persistentLoad: (id) => {
      const storage = environment.persistentLoad(id) as Storage;
      storages.set(storage.key, storage);
      return storage;
    },
  });
  const positions = locateStorages(file, readPickle(input, environment), input.position, storages);
  const locate = async (storage: Storage): Promise<StoredBytes> => {
    const bytes = positions.get(storage.key);
    const length = storage.length * STORED_TYPES[storage.type];
    if (bytes?.length === length) return bytes;
    throw new DataLossError(
      `storage "${storage.key}" should have ${length} bytes and has ${bytes?.length ?? 'none'}`,
      { place },
    );
  };
  return { format: 'torch-legacy', file, root, locate };
}

function locateStorages(
  file: RandomAccessFile,
  keys: PickleValue,
  start: number,
  storages: ReadonlyMap<string, Storage>,
): Map<string, StoredBytes> {
  const place = file.path;
  if (!Array.isArray(keys)) throw new DataLossError("has no list of the storages' keys", { place });
  const positions = new Map<string, StoredBytes>();
  let position = start;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage) throw new DataLossError(`has a storage "${String(key)}" that no tensor uses`, { place });
    const count = file.readSync(position, 8).readBigInt64LE();
    if (count !== BigInt(storage.length))
      throw new DataLossError(
        `storage "${storage.key}" should have ${storage.length} elements and has ${count}`,
        { place },
      );
    const length = storage.length * STORED_TYPES[storage.type];
    file.requireRange(position + 8, length);
    positions.set(storage.key, { position: position + 8, length });
    position += 8 + length;
  }
  return positions;
}
