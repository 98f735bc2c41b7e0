import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { RandomAccessFile } from './random-access-file.ts';
import { openSafetensorsFile } from './safetensors/safetensors-file.ts';
import type { TensorFile } from './tensor-file.ts';
import { openTorchFile } from './torch/torch-file.ts';

const BRACE = 0x7b;
const ZIP_MAGIC = Buffer.from('PK\x03\x04', 'latin1');
/** The PROTO operation and protocol 2, in which torch writes the magic number. */
const PICKLE_MAGIC = Buffer.from([0x80, 2]);
/** Names that transformers gives a model's weights in its folder, the preferred first. */
const FOLDER_FILES = ['model.safetensors', 'pytorch_model.bin'];

/**
 * Opens a checkpoint of any format, told by its first bytes (names say little: `.bin`, `.pt` and `.pth` are used for
 * both formats of torch); a folder is one of Hugging Face's.
 *
 * @throws NotFoundError, InvalidInputError for another kind of file, DataLossError for a damaged one.
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const file = await RandomAccessFile.open(await fileOf(path));
  try {
    const head = Buffer.alloc(Math.min(9, file.size));
    await file.readInto(head, 0);
    // Safetensors first: its leading length may have any bytes, while torch's files never have a brace there.
    if (head[8] === BRACE) return await openSafetensorsFile(file);
    if (head.subarray(0, 4).equals(ZIP_MAGIC)) return await openTorchFile(file, true);
    if (head.subarray(0, 2).equals(PICKLE_MAGIC)) return await openTorchFile(file, false);
    throw new InvalidInputError('is neither a torch checkpoint nor safetensors', { place: file.path });
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function fileOf(path: string): Promise<string> {
  if (!(await isKind(path, 'isDirectory'))) return path;
  for (const name of FOLDER_FILES) if (await isKind(join(path, name), 'isFile')) return join(path, name);
  throw new NotFoundError(`the folder has no ${FOLDER_FILES.join(' or ')}`, { place: path });
}

async function isKind(path: string, kind: 'isDirectory' | 'isFile'): Promise<boolean> {
  try {
    return (await stat(path))[kind]();
  } catch {
    return false; // Not there: opening it reports that.
  }
}
