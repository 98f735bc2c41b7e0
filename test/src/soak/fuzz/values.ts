import type { Chance } from '../chance.ts';

/** What the services under test know: names and files that are there, so that some requests get far. */
export interface Known {
  /** By the name of a field, or of a message's field where that alone says too little. */
  readonly texts: Readonly<Record<string, readonly string[]>>;
  readonly images: readonly Buffer[];
}

const PATHS = [
  '../../etc/passwd',
  '/etc/passwd',
  '/dev/zero',
  '/proc/self/environ',
  './../outside/secret',
  'a/../../outside/secret',
  'link-out/secret',
  'epoch1.pt/',
  '.',
  '..',
  '/',
  'a\0b',
  'epoch1.pt\0.txt',
  '\\\\host\\share',
  'C:\\windows',
  'file:///etc/passwd',
  '~/.ssh/id_rsa',
  '$HOME',
  'nul',
  '-rf',
  '%2e%2e%2fpasswd',
  `${'../'.repeat(200)}etc/passwd`,
  'pipe',
];

const TEXTS = [
  '',
  ' ',
  '红色连衣裙',
  'a',
  'true',
  '0',
  'NaN',
  'none',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '\u0000',
  '\uFEFF',
  '\u202E\u0301\u200B',
  '\n\r\t\v',
  '👩‍👩‍👧‍👦'.repeat(20),
  '%s%n%x',
  "'; drop table runs; --",
  '<script>alert(1)</script>',
  '{"a":1}',
  '𠮷'.repeat(600),
];

const LONG = [255, 256, 1_000, 65_536, 300_000];

export function text(chance: Chance, known: readonly string[] | undefined): string {
  if (known && chance.happens(0.6)) return chance.one(known);
  if (chance.happens(0.4)) return chance.one(PATHS);
  if (chance.happens(0.05)) return chance.one(['a', '红', '../', ' ', '\u0301']).repeat(chance.one(LONG));
  return chance.one(TEXTS);
}

/** No UTF-8: cut short, overlong, half a surrogate pair, a byte that never occurs. */
export const wrongUtf8 = (chance: Chance): Buffer =>
  chance.one([
    Buffer.from([0xe7, 0xba]),
    Buffer.from([0xc0, 0xaf, 0xc0, 0xae]),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from([0xff, 0xfe, 0x41]),
    Buffer.from([0xf8, 0x88, 0x80, 0x80, 0x80]),
  ]);

const INTEGERS = [
  0n,
  1n,
  2n,
  3n,
  10n,
  11n,
  64n,
  1_000n,
  1_024n,
  1_025n,
  65_535n,
  1n << 31n,
  (1n << 31n) - 1n,
  (1n << 32n) - 1n,
  (1n << 53n) - 1n,
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** The bits of a varint: a negative number is its two's complement in 64 bits. */
export function integer(chance: Chance): bigint {
  if (chance.happens(0.5)) return chance.one([0n, 1n, 2n, 3n, 4n, 8n, 10n]);
  const value = chance.one(INTEGERS);
  return BigInt.asUintN(64, chance.happens(0.3) ? -value : value);
}

export const real = (chance: Chance): number =>
  chance.happens(0.5)
    ? chance.one([0, 1, 0.5, 0.001, 0.9])
    : chance.one([
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        -0,
        -1,
        Number.MIN_VALUE,
        Number.MAX_VALUE,
        -Number.MAX_VALUE,
        1e39,
        2 ** 53,
      ]);

/** An image, whole or damaged, numbers of a vector, or nothing of the kind. */
export function bytes(chance: Chance, { images }: Known): Buffer {
  if (chance.happens(0.3)) return chance.bytes(chance.one([0, 1, 3, 4, 8, 64, 192, 2_000]));
  const image = chance.one(images);
  if (chance.happens(0.4)) return image;
  const damaged = Buffer.from(image.subarray(0, chance.below(image.length + 1)));
  for (let i = chance.below(4); i > 0 && damaged.length > 0; i -= 1)
    damaged[chance.below(damaged.length)] = chance.below(256);
  return damaged;
}
