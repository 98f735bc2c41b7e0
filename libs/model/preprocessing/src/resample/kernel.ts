import { bicubicTaps, kernelTable } from './coefficients.ts';
import { KERNEL_BASE64 } from './kernel-binary.ts';

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** TypeScript describes WebAssembly in its browser library only; this is what is used of it. */
interface WebAssemblyApi {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;

/** What kernel.wat exports. Addresses and lengths are in bytes. */
export interface Kernel {
  readonly memory: Memory;
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
  vertical(
    source: number,
    sourceRowBytes: number,
    bytes: number,
    target: number,
    targetRowBytes: number,
    table: number,
    tableEnd: number,
  ): void;
}

/** WebAssembly memory never shrinks: after a larger image the kernel is started anew. */
const MAX_KEPT_MEMORY_BYTES = 32 * 1024 * 1024;

/** Images of a few sizes make up most of a data set, and a table takes 0.1 ms to compute. */
const MAX_CACHED_TABLES = 64;

const PAGE_BYTES = 65_536;

const compiled = new Module(Buffer.from(KERNEL_BASE64, 'base64'));
let current: Kernel | undefined;
const tables = new Map<string, Int32Array>();

/** The kernel with at least so much memory; what the memory held before is not kept. */
export function kernelWithMemory(bytes: number): Kernel {
  if (current && current.memory.buffer.byteLength > Math.max(bytes, MAX_KEPT_MEMORY_BYTES))
    current = undefined;
  current ??= new Instance(compiled).exports as Kernel;
  const missing = bytes - current.memory.buffer.byteLength;
  if (missing > 0) current.memory.grow(Math.ceil(missing / PAGE_BYTES));
  return current;
}

/** The kernel's table for resizing one axis; `undefined` when there is nothing to do. */
export function tableFor(inputSize: number, outputSize: number): Int32Array | undefined {
  if (inputSize === outputSize) return undefined;
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
