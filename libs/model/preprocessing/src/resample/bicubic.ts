import { kernelWithMemory, tableFor } from './kernel.ts';

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

/** Rows are handed to the horizontal pass in strips of about this size, which stay in a core's cache. */
const ROW_STRIP_BYTES = 256 * 1024;

/** The vertical pass, where it comes first, takes an image whole up to this size and then strips of columns. */
const COLUMN_STRIP_BYTES = 8 * 1024 * 1024;

/** More than the kernel reads or writes beyond a buffer's last row, and between rows that it writes by pixels. */
const PADDING_BYTES = 64;
const ROW_PADDING_BYTES = 4;

/** Rows and weights go in fours: this many rows too many are touched. */
const EXTRA_ROWS = 3;

/**
 * Pillow 13 shrinks vertically first where the height loses more than twice as much as the width (found by trying
 * sizes against it; before, the horizontal pass came first always). The order shows in the rounding between passes.
 */
export function shrinksRowsFirst(box: Box, width: number, height: number): boolean {
  return box.height > height && box.height - height > 2 * (box.width - width);
}

/**
 * Pillow's `crop(box).resize((width, height), BICUBIC)` for 8-bit channels, bit for bit: separable, antialiased,
 * rounded to 8 bits between the passes.
 *
 * @returns [height, width, channels]
 */
export function resizeBicubic(image: Raster, width: number, height: number, box: Box): Uint8Array {
  const columns = tableFor(box.width, width);
  const rows = tableFor(box.height, height);
  if (!columns && !rows) return crop(image, box);
  if (rows && (!columns || shrinksRowsFirst(box, width, height)))
    return resizeRowsFirst(image, box, { width, height, rows, columns });
  return resizeColumnsFirst(image, box, { width, height, rows, columns: columns as Int32Array });
}

interface Plan {
  readonly width: number;
  readonly height: number;
  readonly rows: Int32Array | undefined;
  readonly columns: Int32Array | undefined;
}

/** Horizontal pass in strips of rows, then the vertical one. */
function resizeColumnsFirst(image: Raster, box: Box, plan: Plan & { columns: Int32Array }): Uint8Array {
  const { channels } = image;
  const sourceRowBytes = box.width * channels;
  const rowBytes = plan.width * channels;
  const middleRowBytes = rowBytes + ROW_PADDING_BYTES;
  const rowsPerStrip = Math.max(4, Math.floor(ROW_STRIP_BYTES / sourceRowBytes / 4) * 4);
  const at = layOut({
    columns: plan.columns.byteLength,
    rows: plan.rows?.byteLength ?? 0,
    strip: (rowsPerStrip + EXTRA_ROWS) * sourceRowBytes,
    middle: (box.height + EXTRA_ROWS) * middleRowBytes,
    result: plan.height * rowBytes,
  });
  const kernel = kernelWithMemory(at.end);
  const memory = new Uint8Array(kernel.memory.buffer);
  place(memory, plan.columns, at.columns);
  for (let row = 0; row < box.height; row += rowsPerStrip) {
    const count = Math.min(rowsPerStrip, box.height - row);
    copyRows(image, { ...box, top: box.top + row, height: count }, memory, at.strip);
    const target = at.middle + row * middleRowBytes;
    const end = at.columns + plan.columns.byteLength;
    kernel.horizontal(at.strip, sourceRowBytes, count, channels, target, middleRowBytes, at.columns, end);
  }
  if (!plan.rows) return packRows(memory, at.middle, middleRowBytes, rowBytes, plan.height);
  place(memory, plan.rows, at.rows);
  const end = at.rows + plan.rows.byteLength;
  kernel.vertical(at.middle, middleRowBytes, rowBytes, at.result, rowBytes, at.rows, end);
  return memory.slice(at.result, at.result + plan.height * rowBytes);
}

/** Vertical pass in strips of columns, then the horizontal one. */
function resizeRowsFirst(image: Raster, box: Box, plan: Plan & { rows: Int32Array }): Uint8Array {
  const { channels } = image;
  const middleRowBytes = box.width * channels;
  const rowBytes = plan.width * channels;
  const resultRowBytes = rowBytes + ROW_PADDING_BYTES;
  // A multiple of 16 pixels, so that only a row's last strip is written beyond its end.
  const columnsPerStrip = Math.min(
    box.width,
    Math.max(1, Math.floor(COLUMN_STRIP_BYTES / (box.height * channels * 16))) * 16,
  );
  const at = layOut({
    rows: plan.rows.byteLength,
    columns: plan.columns?.byteLength ?? 0,
    strip: (box.height + EXTRA_ROWS) * columnsPerStrip * channels,
    middle: (plan.height + EXTRA_ROWS) * middleRowBytes,
    result: (plan.height + EXTRA_ROWS) * resultRowBytes,
  });
  const kernel = kernelWithMemory(at.end);
  const memory = new Uint8Array(kernel.memory.buffer);
  place(memory, plan.rows, at.rows);
  // From the right: what a row's last strip writes beyond its end is then overwritten by the next row's first.
  const strips = Math.ceil(box.width / columnsPerStrip);
  for (let strip = strips - 1; strip >= 0; strip--) {
    const left = strip * columnsPerStrip;
    const stripWidth = Math.min(columnsPerStrip, box.width - left);
    copyRows(image, { ...box, left: box.left + left, width: stripWidth }, memory, at.strip);
    const bytes = stripWidth * channels;
    const target = at.middle + left * channels;
    const end = at.rows + plan.rows.byteLength;
    kernel.vertical(at.strip, bytes, bytes, target, middleRowBytes, at.rows, end);
  }
  if (!plan.columns) return memory.slice(at.middle, at.middle + plan.height * rowBytes);
  place(memory, plan.columns, at.columns);
  const end = at.columns + plan.columns.byteLength;
  const { middle, result } = at;
  kernel.horizontal(middle, middleRowBytes, plan.height, channels, result, resultRowBytes, at.columns, end);
  return packRows(memory, result, resultRowBytes, rowBytes, plan.height);
}

/** Addresses for buffers of these lengths, one after the other, and where they end. */
function layOut<Name extends string>(bytes: Record<Name, number>): Record<Name | 'end', number> {
  let end = 0;
  const addresses: Record<string, number> = {};
  for (const [name, length] of Object.entries<number>(bytes)) {
    addresses[name] = end;
    end += Math.ceil((length + PADDING_BYTES) / 16) * 16;
  }
  return { ...addresses, end } as Record<Name | 'end', number>;
}

function place(memory: Uint8Array, table: Int32Array, address: number): void {
  memory.set(new Uint8Array(table.buffer, table.byteOffset, table.byteLength), address);
}

function copyRows(image: Raster, part: Box, target: Uint8Array, address: number): void {
  const sourceRowBytes = image.width * image.channels;
  const rowBytes = part.width * image.channels;
  const start = part.top * sourceRowBytes + part.left * image.channels;
  if (rowBytes === sourceRowBytes) {
    target.set(image.data.subarray(start, start + part.height * rowBytes), address);
    return;
  }
  for (let row = 0; row < part.height; row++) {
    const from = start + row * sourceRowBytes;
    target.set(image.data.subarray(from, from + rowBytes), address + row * rowBytes);
  }
}

function packRows(
  memory: Uint8Array,
  from: number,
  fromRowBytes: number,
  rowBytes: number,
  rows: number,
): Uint8Array {
  const packed = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    const start = from + row * fromRowBytes;
    packed.set(memory.subarray(start, start + rowBytes), row * rowBytes);
  }
  return packed;
}

function crop(image: Raster, box: Box): Uint8Array {
  const result = new Uint8Array(box.width * box.height * image.channels);
  copyRows(image, box, result, 0);
  return result;
}
