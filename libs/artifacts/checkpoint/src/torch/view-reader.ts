import { crc32 } from 'node:zlib';
import { DataLossError, InvalidInputError, type NdArray, sizeOf } from '@online-cnclip/foundation';
import { bytesInMemory, receive, STORED_TYPES } from '../element-types.ts';
import type { StoredBytes, TorchContainer } from './container.ts';
import { isContiguous, type StoredView, spanOf } from './tensors.ts';

// Tensors widened from half precision take twice their size in the file; the rest is room for small files.
// Views can repeat elements (stride 0), so without a budget a few bytes could ask for terabytes.
const BUDGET_PER_FILE_BYTE = 2;
const BUDGET_BASE_BYTES = 16 * 1024 * 1024;

/** Reads views of a container's storages. Equal views (tied weights) come back as one array. */
export class ViewReader {
  readonly #container: TorchContainer;
  readonly #arrays = new Map<string, NdArray>();
  #budget: number;

  constructor(container: TorchContainer) {
    this.#container = container;
    this.#budget = BUDGET_BASE_BYTES + BUDGET_PER_FILE_BYTE * container.file.size;
  }

  /** @throws DataLossError for missing or damaged bytes, UnsupportedError for a type that memory has no place for. */
  async read(view: StoredView, name: string): Promise<NdArray> {
    const { storage, offset, shape, strides } = view;
    const identity = JSON.stringify([storage.key, storage.type, offset, shape, strides]);
    const known = this.#arrays.get(identity);
    if (known) return known;
    const stored = await this.#container.locate(storage);
    const array =
      sizeOf(shape) === 0 || isContiguous(shape, strides)
        ? await this.#readContiguous(view, stored, name)
        : await this.#readStrided(view, stored, name);
    this.#arrays.set(identity, array);
    return array;
  }

  async #readContiguous(view: StoredView, stored: StoredBytes, name: string): Promise<NdArray> {
    const receiver = this.#receive(view, name);
    await this.#readBytes(view, stored, receiver.bytes, name);
    return receiver.finish(view.shape);
  }

  async #readStrided(view: StoredView, stored: StoredBytes, name: string): Promise<NdArray> {
    const { storage, shape, strides } = view;
    const width = STORED_TYPES[storage.type];
    const spanBytes = spanOf(shape, strides) * width;
    this.#spend(spanBytes, name);
    const receiver = this.#receive(view, name);
    const span = new Uint8Array(spanBytes);
    await this.#readBytes(view, stored, span, name);
    gather(span, receiver.bytes, width, shape, strides);
    this.#budget += spanBytes;
    return receiver.finish(shape);
  }

  #receive({ storage, shape }: StoredView, name: string) {
    const size = sizeOf(shape);
    this.#spend(size * bytesInMemory(storage.type), name);
    return receive(storage.type, size, this.#place(name));
  }

  async #readBytes(
    { storage, offset }: StoredView,
    stored: StoredBytes,
    target: Uint8Array,
    name: string,
  ): Promise<void> {
    const start = offset * STORED_TYPES[storage.type];
    await this.#container.file.readInto(target, stored.position + start);
    const isWhole = target.byteLength === stored.length;
    if (isWhole && stored.crc32 !== undefined && crc32(target) !== stored.crc32)
      throw new DataLossError('is damaged: its checksum differs', { place: this.#place(name) });
  }

  #spend(bytes: number, name: string): void {
    if (!(bytes <= this.#budget))
      throw new InvalidInputError(
        `needs ${bytes} bytes, more than a file of ${this.#container.file.size} bytes may unfold to`,
        { place: this.#place(name) },
      );
    this.#budget -= bytes;
  }

  #place(name: string): string {
    return `${this.#container.file.path}: ${name}`;
  }
}

const ELEMENTS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;

/** Copies strided elements of `width` bytes into dense row-major order. */
function gather(
  from: Uint8Array<ArrayBuffer>,
  to: Uint8Array,
  width: 1 | 2 | 4 | 8,
  shape: readonly number[],
  strides: readonly number[],
): void {
  const Elements = ELEMENTS[width];
  const source = new Elements(from.buffer);
  const target = new Elements(to.buffer as ArrayBuffer, to.byteOffset, to.byteLength / width);
  let next = 0;
  const copy = (axis: number, start: number): void => {
    const size = shape[axis] as number;
    const stride = strides[axis] as number;
    const isLast = axis === shape.length - 1;
    for (let i = 0, at = start; i < size; i++, at += stride)
      if (isLast) target[next++] = source[at] as never;
      else copy(axis + 1, at);
  };
  copy(0, 0);
}
