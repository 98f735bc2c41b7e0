import { InvalidInputError, type NamedArrays, sizeOf } from '@online-cnclip/foundation';
import { receive } from '../element-types.ts';
import { RandomAccessFile } from '../random-access-file.ts';
import { readTensors, type TensorFile } from '../tensor-file.ts';
import { readHeader } from './header.ts';

export interface SafetensorsOptions {
  /** Tensors to read (default: all); the others cost no memory. */
  readonly only?: (name: string) => boolean;
}

/**
 * The tensors of a safetensors file in the header's order; F16 and BF16 become float32.
 *
 * @throws NotFoundError, DataLossError for a truncated file or a header that does not describe it,
 * UnsupportedError for a requested tensor of a type without a place in memory (F64, I16, I8).
 */
export async function readSafetensors(path: string, options: SafetensorsOptions = {}): Promise<NamedArrays> {
  const file = await RandomAccessFile.open(path);
  try {
    const tensors = await openSafetensorsFile(file);
    return await readTensors(tensors, [...tensors.tensors.keys()].filter(options.only ?? (() => true)));
  } finally {
    await file.close();
  }
}

/** The free-form strings of a safetensors file's header. */
export async function readSafetensorsMetadata(path: string): Promise<Readonly<Record<string, string>>> {
  const file = await RandomAccessFile.open(path);
  try {
    return (await readHeader(file)).metadata;
  } finally {
    await file.close();
  }
}

/** Closing the result closes the file; when the header is refused that stays with the caller. */
export async function openSafetensorsFile(file: RandomAccessFile): Promise<TensorFile> {
  const header = await readHeader(file);
  return {
    path: file.path,
    format: 'safetensors',
    bytes: file.size,
    details: readDetails(header.metadata),
    tensors: header.tensors,
    read: async (name) => {
      const tensor = header.tensors.get(name);
      if (!tensor) throw new InvalidInputError(`has no tensor "${name}"`, { place: file.path });
      const receiver = receive(tensor.type, sizeOf(tensor.shape), `${file.path}: ${name}`);
      await file.readInto(receiver.bytes, tensor.position);
      return receiver.finish(tensor.shape);
    },
    close: () => file.close(),
  };
}

/** The metadata that this project's conversion writes. */
function readDetails({ epoch, step, name }: Readonly<Record<string, string>>): TensorFile['details'] {
  const integer = (text: string | undefined) => (text && /^\d{1,15}$/.test(text) ? Number(text) : undefined);
  return { epoch: integer(epoch), step: integer(step), name };
}
