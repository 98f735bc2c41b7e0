import { crc32 } from 'node:zlib';
import { ApplicationError, DataLossError, messageOf, UnsupportedError } from '@online-cnclip/foundation';
import yauzl from 'yauzl';
import { STORED_TYPES } from '../element-types.ts';
import { PickleInput } from '../pickle/input.ts';
import { readPickle } from '../pickle/interpreter.ts';
import type { RandomAccessFile } from '../random-access-file.ts';
import type { StoredBytes, TorchContainer } from './container.ts';
import { type Storage, torchEnvironment } from './tensors.ts';

// ViT-H-14 with optimizer has about 3,000 entries.
const MAX_ENTRIES = 100_000;
// ViT-H-14's pickle with optimizer is about 1 MB.
const MAX_PICKLE_BYTES = 64 * 1024 * 1024;

/**
 * Opens torch's zip format (1.6 and later): `NAME/data.pkl` and one stored entry `NAME/data/KEY` for each
 * storage. Entries are located through the central directory and read in place.
 */
export async function openZipContainer(file: RandomAccessFile): Promise<TorchContainer> {
  const archive = await openArchive(file);
  const { zip, entries, prefix } = archive;
  if (entries.has(`${prefix}constants.pkl`))
    throw new UnsupportedError('is a TorchScript archive: save its state_dict() instead', {
      place: file.path,
    });
  await requireLittleEndian(archive);
  const pickle = await readEntry(archive, 'data.pkl', MAX_PICKLE_BYTES);
  const root = readPickle(PickleInput.ofBytes(pickle, file.path), torchEnvironment(file.path));
  const locate = async (storage: Storage): Promise<StoredBytes> => {
    const entry = entries.get(`${prefix}data/${storage.key}`);
    const length = storage.length * STORED_TYPES[storage.type];
    if (entry?.uncompressedSize !== length)
      throw new DataLossError(
        `storage "${storage.key}" should have ${length} bytes and has ${entry?.uncompressedSize ?? 'none'}`,
        { place: file.path },
      );
    return { position: await dataStart(zip, entry, file), length, crc32: entry.crc32 };
  };
  return { format: 'torch-zip', file, root, locate };
}

interface Archive {
  readonly file: RandomAccessFile;
  readonly zip: yauzl.ZipFile;
  readonly entries: ReadonlyMap<string, yauzl.Entry>;
  /** The folder that everything is in, with its slash. */
  readonly prefix: string;
}

async function openArchive(file: RandomAccessFile): Promise<Archive> {
  try {
    const zip = await fromFd(file.fd);
    const entries = new Map<string, yauzl.Entry>();
    for await (const entry of zip.eachEntry()) {
      if (entries.size === MAX_ENTRIES)
        throw new UnsupportedError(`has more than ${MAX_ENTRIES} entries`, { place: file.path });
      entries.set(entry.fileName, entry);
    }
    const pickle = [...entries.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name));
    if (!pickle) throw new DataLossError('is a zip file without data.pkl', { place: file.path });
    return { file, zip, entries, prefix: pickle.slice(0, -'data.pkl'.length) };
  } catch (cause) {
    throw asDataLoss(cause, file);
  }
}

function fromFd(fd: number): Promise<yauzl.ZipFile> {
  // Closing stays with the file's owner.
  return new Promise((resolve, reject) =>
    yauzl.fromFd(fd, { autoClose: false, lazyEntries: true }, (error, zip) =>
      error ? reject(error) : resolve(zip),
    ),
  );
}

async function dataStart(zip: yauzl.ZipFile, entry: yauzl.Entry, file: RandomAccessFile): Promise<number> {
  if (entry.compressionMethod !== 0 || entry.isEncrypted())
    throw new UnsupportedError(`"${entry.fileName}" is compressed or encrypted; torch stores plain bytes`, {
      place: file.path,
    });
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    file.requireRange(fileDataStart, entry.uncompressedSize);
    return fileDataStart;
  } catch (cause) {
    throw asDataLoss(cause, file);
  }
}

async function readEntry(archive: Archive, name: string, maxBytes: number): Promise<Buffer> {
  const { file, zip, entries, prefix } = archive;
  const entry = entries.get(prefix + name) as yauzl.Entry;
  if (entry.uncompressedSize > maxBytes)
    throw new UnsupportedError(`"${name}" has ${entry.uncompressedSize} bytes, more than ${maxBytes}`, {
      place: file.path,
    });
  const position = await dataStart(zip, entry, file);
  const bytes = Buffer.allocUnsafe(entry.uncompressedSize);
  await file.readInto(bytes, position);
  if (crc32(bytes) !== entry.crc32)
    throw new DataLossError(`"${name}" is damaged: its checksum differs`, { place: file.path });
  return bytes;
}

async function requireLittleEndian(archive: Archive): Promise<void> {
  if (!archive.entries.has(`${archive.prefix}byteorder`)) return;
  const order = (await readEntry(archive, 'byteorder', 16)).toString('latin1');
  if (order !== 'little')
    throw new UnsupportedError(`has byte order "${order}"; only little-endian files are read`, {
      place: archive.file.path,
    });
}

function asDataLoss(cause: unknown, file: RandomAccessFile): unknown {
  if (cause instanceof ApplicationError) return cause;
  return new DataLossError(`is not a whole zip file: ${messageOf(cause)}`, { place: file.path, cause });
}
