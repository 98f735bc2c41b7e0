import { bicubicTaps, kernelTable } from './coefficients.ts';
import { KERNEL_BASE64 } from './kernel-binary.ts';

/** A rectangle of an image, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

interface Kernel {
  readonly memory: WebAssembly.Memory;
  horizontal(
    source: number,
    sourceRowBytes: number,
    rows: number,
    pixelBytes: number,
    target: number,
    targetRowBytes: number,
    table: number,
    tableEnd: number,
  ): void;
  vertical(source: number, rowBytes: number, target: number, table: number, tableEnd: number): void;
}

/** Source rows are handed to the kernel in strips of about this size, which stay in a core's cache. */
const STRIP_BYTES = 256 * 1024;

/** WebAssembly memory never shrinks: after a larger image the kernel is started anew. */
const MAX_KEPT_MEMORY_BYTES = 32 * 1024 * 1024;

/** How far the kernel reads past the last pixel of its source. */
const PADDING_BYTES = 64;

/** Images of a few sizes make up most of a data set; a table takes 0.1 ms to compute. */
const MAX_CACHED_TABLES = 64;

const module = new WebAssembly.Module(Buffer.from(KERNEL_BASE64, 'base64'));
let kernel = startKernel();
const tables = new Map<string, Int32Array>();

/**
 * Pillow's `resize(..., BICUBIC)` for 8-bit channels, bit for bit: separable, antialiased, horizontal pass first,
 * rounded to 8 bits between the passes.
 *
 * @param box the part of the image to resize; all of it by default.
 * @returns [height, width, channels]; the image's own data when there is nothing to do.
 */
export function resizeBicubic(
  image: Raster,
  width: number,
  height: number,
  box: Box = { left: 0, top: 0, width: image.width, height: image.height },
): Uint8Array {
  const { channels } = image;
  const rowBytes = roundUp(width * channels);
  const columns = box.width === width ? undefined : tableOf(box.width, width);
  const rows = box.height === height ? undefined : tableOf(box.height, height);
  if (!columns && !rows && width === image.width && height === image.height) return image.data;

  const columnTable = 0;
  const rowTable = columnTable + roundUp(columns?.byteLength ?? 0);
  const strip = rowTable + roundUp(rows?.byteLength ?? 0);
  const rowsPerStrip = Math.max(1, Math.floor(STRIP_BYTES / (box.width * channels)));
  const middle = strip + roundUp(rowsPerStrip * box.width * channels + PADDING_BYTES);
  // Three rows more: weights go in fours, and a zero weight still reads its row.
  const result = middle + (box.height + 3) * rowBytes + PADDING_BYTES;
  reserve(result + height * rowBytes);
  if (columns) new Int32Array(kernel.memory.buffer, columnTable).set(columns);
  if (rows) new Int32Array(kernel.memory.buffer, rowTable).set(rows);

  for (let row = 0; row < box.height; row += rowsPerStrip) {
    const count = Math.min(rowsPerStrip, box.height - row);
    const target = middle + row * rowBytes;
    if (columns) {
      copyRows(image, { ...box, top: box.top + row, height: count }, strip, box.width * channels);
      const end = columnTable + columns.byteLength;
      kernel.horizontal(strip, box.width * channels, count, channels, target, rowBytes, columnTable, end);
    } else copyRows(image, { ...box, top: box.top + row, height: count }, target, rowBytes);
  }
  if (rows) kernel.vertical(middle, rowBytes, result, rowTable, rowTable + rows.byteLength);
  const packed = packRows(rows ? result : middle, rowBytes, width * channels, height);
  if (kernel.memory.buffer.byteLength > MAX_KEPT_MEMORY_BYTES) kernel = startKernel();
  return packed;
}

function startKernel(): Kernel {
  return new WebAssembly.Instance(module).exports as unknown as Kernel;
}

function reserve(bytes: number): void {
  const { memory } = kernel;
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
}

function tableOf(inputSize: number, outputSize: number): Int32Array {
  const key = `${inputSize}:${outputSize}`;
  let table = tables.get(key);
  if (!table) {
    table = kernelTable(bicubicTaps(inputSize, outputSize));
    const oldest = tables.keys().next();
    if (tables.size >= MAX_CACHED_TABLES && !oldest.done) tables.delete(oldest.value);
    tables.set(key, table);
  }
  return table;
}

function copyRows(image: Raster, part: Box, target: number, targetRowBytes: number): void {
  const memory = new Uint8Array(kernel.memory.buffer);
  const sourceRowBytes = image.width * image.channels;
  const partRowBytes = part.width * image.channels;
  const start = part.top * sourceRowBytes + part.left * image.channels;
  if (sourceRowBytes === targetRowBytes && partRowBytes === sourceRowBytes) {
    memory.set(image.data.subarray(start, start + part.height * sourceRowBytes), target);
    return;
  }
  for (let row = 0; row < part.height; row++) {
    const from = start + row * sourceRowBytes;
    memory.set(image.data.subarray(from, from + partRowBytes), target + row * targetRowBytes);
  }
}

function packRows(source: number, sourceRowBytes: number, rowBytes: number, rows: number): Uint8Array {
  const memory = new Uint8Array(kernel.memory.buffer);
  if (sourceRowBytes === rowBytes) return memory.slice(source, source + rows * rowBytes);
  const packed = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    const from = source + row * sourceRowBytes;
    packed.set(memory.subarray(from, from + rowBytes), row * rowBytes);
  }
  return packed;
}

/** To a whole number of 16-byte vectors. */
const roundUp = (bytes: number): number => Math.ceil(bytes / 16) * 16;
