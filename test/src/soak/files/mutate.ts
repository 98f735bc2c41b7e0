import { crc32 } from 'node:zlib';
import type { Chance } from '../chance.ts';

/** Headers are where lies matter: many mutations fall into the first and the last bytes. */
const HEADER_BYTES = 12_000;

const EXTREMES = [0x00, 0x01, 0x7f, 0x80, 0xff];

/** What a hostile file would like to have read, run or believed. */
const TOKENS = [
  'cposix\nsystem\n(S"touch canary"\ntR.',
  'cbuiltins\neval\n(S"1"\ntR.',
  'cos\nsystem\n',
  '../../../etc/passwd',
  '/etc/passwd',
  '{"__proto__":{"a":1}}',
  '\u0000',
  'NaN',
  '1e999',
  '-1',
  '18446744073709551616',
  '9'.repeat(400),
  '['.repeat(2_000),
  '\\ud800',
].map((token) => Buffer.from(token));

/** One to four changes: bits, extremes, numbers, cuts, repeats, tokens. */
export function mutate(original: Buffer, chance: Chance): Buffer {
  let bytes: Buffer = Buffer.from(original);
  for (let left = 1 + chance.below(4); left > 0; left -= 1) bytes = change(bytes, chance);
  return bytes;
}

function change(bytes: Buffer, chance: Chance): Buffer {
  if (bytes.length === 0) return Buffer.from(chance.one(TOKENS));
  const near = chance.below(Math.min(HEADER_BYTES, bytes.length));
  const at = chance.one([near, bytes.length - 1 - near, chance.below(bytes.length)]);
  const length = 1 + chance.below(9);
  switch (chance.below(9)) {
    case 0:
    case 1:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
      return bytes;
    case 2:
      return bytes.fill(chance.one(EXTREMES), at, Math.min(at + length, bytes.length));
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 5:
      return Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(at >> 1, (at >> 1) + length),
        bytes.subarray(at),
      ]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), chance.one(TOKENS), bytes.subarray(at)]);
    case 7:
      return writeNumber(bytes, at, chance);
    default:
      return Buffer.concat([bytes, bytes.subarray(0, chance.below(bytes.length))]);
  }
}

/** A count, a length or an offset that is a lie. */
function writeNumber(bytes: Buffer, at: number, chance: Chance): Buffer {
  if (at + 8 > bytes.length) return bytes;
  const value = chance.one([
    0n,
    1n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    1n << 40n,
    (1n << 63n) - 1n,
    (1n << 64n) - 1n,
  ]);
  if (chance.happens(0.5)) bytes.writeBigUInt64LE(value, at);
  else bytes.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
  return bytes;
}

/** A PNG whose right header claims this size, over next to no data. */
export function pngBomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', Buffer.alloc(40)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body) >>> 0);
  return Buffer.concat([length, body, sum]);
}

/** A GIF with a screen of this size and many frames that fill it in a few bytes each. */
export function gifBomb(width: number, height: number, frames: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt16LE(width, 0);
  size.writeUInt16LE(height, 2);
  const screen = Buffer.concat([
    Buffer.from('GIF89a'),
    size,
    Buffer.from([0x80, 0, 0, 0, 0, 0, 255, 255, 255]),
  ]);
  const frame = Buffer.concat([Buffer.from([0x2c, 0, 0, 0, 0]), size, Buffer.from([0, 2, 2, 0x44, 0x01, 0])]);
  return Buffer.concat([screen, ...Array.from({ length: frames }, () => frame), Buffer.from([0x3b])]);
}
