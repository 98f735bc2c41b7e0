import type { FileHandle } from 'node:fs/promises';
import { DataLossError, InvalidInputError, type NdArray, sizeOf } from '@online-cnclip/foundation';
import { bytesOf, requireLittleEndian } from './byte-order.ts';
import { headerLength, MAX_HEADER_BYTES, PREAMBLE_BYTES, parseNpyHeader } from './npy-header.ts';
import { openForReading, readExactly } from './read-exactly.ts';

const NUMBER_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** An open .npy file of float32: its rows are read when they are asked for. */
export class NpyReader {
  /** The file in errors. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly #file: FileHandle;
  readonly #dataOffset: number;

  constructor(file: FileHandle, name: string, shape: readonly number[], dataOffset: number) {
    this.#file = file;
    this.name = name;
    this.shape = shape;
    this.#dataOffset = dataOffset;
  }

  /** Rows and columns. @throws InvalidInputError when it is no matrix. */
  get matrixShape(): readonly [rows: number, columns: number] {
    const [rows, columns] = this.shape;
    if (this.shape.length !== 2 || rows === undefined || columns === undefined)
      throw new InvalidInputError(`has the shape [${this.shape}], which is no matrix`, { place: this.name });
    return [rows, columns];
  }

  /** Consecutive entries of the first dimension, row-major. */
  async readRows(first: number, count: number): Promise<Float32Array> {
    const rowSize = sizeOf(this.shape.slice(1));
    const numbers = new Float32Array(count * rowSize);
    const position = this.#dataOffset + first * rowSize * NUMBER_BYTES;
    await readExactly(this.#file, bytesOf(numbers), position, this.name);
    return numbers;
  }

  async readAll(): Promise<NdArray<'float32'>> {
    const data = new Float32Array(sizeOf(this.shape));
    await readExactly(this.#file, bytesOf(data), this.#dataOffset, this.name);
    return { dtype: 'float32', shape: this.shape, data };
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/**
 * Opens a .npy file of float32 in C order (versions 1 to 3). No memory is taken before the file's length has proved
 * its header true.
 *
 * @param name of the file in errors, where it is not its path.
 * @throws NotFoundError, DataLossError when it is damaged, UnsupportedError for another type or order.
 */
export async function openNpy(path: string, name = path): Promise<NpyReader> {
  requireLittleEndian();
  const file = await openForReading(path, name);
  try {
    const { size } = await file.stat();
    if (size < PREAMBLE_BYTES) throw new DataLossError('is not a .npy file', { place: name });
    const preamble = Buffer.alloc(PREAMBLE_BYTES);
    await readExactly(file, preamble, 0, name);
    const length = headerLength(preamble, name);
    if (length > MAX_HEADER_BYTES || length > size)
      throw new DataLossError(`its header claims ${length} bytes`, { place: name });
    const header = Buffer.alloc(length);
    await readExactly(file, header, 0, name);
    const { shape, dataOffset } = parseNpyHeader(header, name);
    const claimed = dataOffset + sizeOf(shape) * NUMBER_BYTES;
    if (claimed !== size)
      throw new DataLossError(`has ${size} bytes where the shape [${shape}] takes ${claimed}`, {
        place: name,
      });
    return new NpyReader(file, name, shape, dataOffset);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A whole .npy file, see {@link openNpy}. */
export async function readNpy(path: string): Promise<NdArray<'float32'>> {
  const reader = await openNpy(path);
  try {
    return await reader.readAll();
  } finally {
    await reader.close();
  }
}
