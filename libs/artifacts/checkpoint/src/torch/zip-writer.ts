import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  /** Called once, when the entry's turn comes, so only one entry need be in memory. */
  readonly content: () => Uint8Array;
}

// torch.load(mmap=True) maps storages in place; torch aligns them to this.
const ALIGNMENT = 64;
// Padding is an extra field with torch's own id.
const PADDING_FIELD = 0x4246;
// From this on, sizes and offsets move to a zip64 field.
const ZIP64_FROM = 0xffffffff;
const WRITE_BYTES = 1 << 26;
const VERSION_ZIP = 20;
const VERSION_ZIP64 = 45;
// 1980-01-01, the format's first day: equal content gives equal files.
const DOS_DATE = 0x21;

interface Written {
  readonly name: Buffer;
  readonly crc: number;
  readonly size: number;
  readonly offset: number;
}

/**
 * Writes a zip archive of stored entries with the data of each aligned, as torch.save does. Written here because zip
 * libraries offer neither the alignment nor stored entries without a trailing data descriptor, for which torch's
 * reader would have to scan. Format: PKWARE APPNOTE 6.3.
 *
 * @param zip64From lowered by tests, to reach the zip64 records without gigabytes.
 */
export async function writeZip(
  path: string,
  entries: Iterable<ZipEntry>,
  zip64From: number = ZIP64_FROM,
): Promise<void> {
  const file = await open(path, 'wx');
  try {
    const written: Written[] = [];
    let offset = 0;
    for (const { name, content } of entries) {
      const bytes = content();
      const entry = { name: Buffer.from(name), crc: crc32(bytes), size: bytes.byteLength, offset };
      const header = localHeader(entry, zip64From);
      await writeAll(file, header);
      await writeAll(file, bytes);
      offset += header.length + bytes.byteLength;
      written.push(entry);
    }
    const directory = Buffer.concat(written.map((entry) => directoryHeader(entry, zip64From)));
    await writeAll(file, directory);
    await writeAll(file, directoryEnd(written.length, directory.length, offset, zip64From));
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(WRITE_BYTES, bytes.byteLength - done));
    done += bytesWritten;
  }
}

function localHeader({ name, crc, size, offset }: Written, zip64From: number): Buffer {
  const wide = size >= zip64From;
  const zip64 = wide ? zip64Field([size, size]) : Buffer.alloc(0);
  const unpadded = offset + 30 + name.length + zip64.length + 4;
  const padding = Buffer.alloc(4 + ((ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT));
  padding.writeUInt16LE(PADDING_FIELD, 0);
  padding.writeUInt16LE(padding.length - 4, 2);
  const fixed = Buffer.alloc(30);
  fixed.writeUInt32LE(0x04034b50, 0);
  fixed.writeUInt16LE(wide ? VERSION_ZIP64 : VERSION_ZIP, 4);
  fixed.writeUInt16LE(DOS_DATE, 12);
  fixed.writeUInt32LE(crc, 14);
  fixed.writeUInt32LE(wide ? 0xffffffff : size, 18);
  fixed.writeUInt32LE(wide ? 0xffffffff : size, 22);
  fixed.writeUInt16LE(name.length, 26);
  fixed.writeUInt16LE(zip64.length + padding.length, 28);
  return Buffer.concat([fixed, name, zip64, padding]);
}

function directoryHeader({ name, crc, size, offset }: Written, zip64From: number): Buffer {
  const wide = size >= zip64From;
  const far = offset >= zip64From;
  const zip64 = wide || far ? zip64Field([...(wide ? [size, size] : []), ...(far ? [offset] : [])]) : null;
  const fixed = Buffer.alloc(46);
  fixed.writeUInt32LE(0x02014b50, 0);
  fixed.writeUInt16LE(zip64 ? VERSION_ZIP64 : VERSION_ZIP, 4);
  fixed.writeUInt16LE(zip64 ? VERSION_ZIP64 : VERSION_ZIP, 6);
  fixed.writeUInt16LE(DOS_DATE, 14);
  fixed.writeUInt32LE(crc, 16);
  fixed.writeUInt32LE(wide ? 0xffffffff : size, 20);
  fixed.writeUInt32LE(wide ? 0xffffffff : size, 24);
  fixed.writeUInt16LE(name.length, 28);
  fixed.writeUInt16LE(zip64?.length ?? 0, 30);
  fixed.writeUInt32LE(far ? 0xffffffff : offset, 42);
  return Buffer.concat([fixed, name, zip64 ?? Buffer.alloc(0)]);
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(0x0001, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}

/** The end record, preceded by zip64's where a number does not fit. */
function directoryEnd(count: number, size: number, offset: number, zip64From: number): Buffer {
  const wide = count >= Math.min(0xffff, zip64From) || size >= zip64From || offset >= zip64From;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(wide ? 0xffff : count, 8);
  end.writeUInt16LE(wide ? 0xffff : count, 10);
  end.writeUInt32LE(wide ? 0xffffffff : size, 12);
  end.writeUInt32LE(wide ? 0xffffffff : offset, 16);
  if (!wide) return end;

  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(VERSION_ZIP64, 12);
  record.writeUInt16LE(VERSION_ZIP64, 14);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(size), 40);
  record.writeBigUInt64LE(BigInt(offset), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + size), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([record, locator, end]);
}
