import { isUtf8 } from 'node:buffer';
import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import { isInt64 } from './ids.ts';
import { MAX_TEXT_BYTES } from './limits.ts';

// The values of an LMDB's `pairs`: Python's pickle of one tuple `(image_id: int, text_id: int, text: str)`. A pickle
// is a program that can call anything; this reads and writes that one shape and refuses every other opcode.
// Opcodes: Lib/pickletools.py of CPython. Written as C pickle writes protocol 4, the default of Python 3.8 to 3.13.

/** One (image, text) pair. Ids are 64-bit signed integers in decimal. */
export interface Pair {
  readonly imageId: string;
  readonly textId: string;
  readonly text: string;
}

const PROTO = 0x80;
const FRAME = 0x95;
const BININT = 0x4a;
const BININT1 = 0x4b;
const BININT2 = 0x4d;
const LONG1 = 0x8a;
const BINUNICODE = 0x58;
const SHORT_BINUNICODE = 0x8c;
const BINUNICODE8 = 0x8d;
const BINPUT = 0x71;
const LONG_BINPUT = 0x72;
const MEMOIZE = 0x94;
const TUPLE3 = 0x87;
const STOP = 0x2e;

const PROTOCOL_WRITTEN = 4;
const OLDEST_PROTOCOL = 2;
const NEWEST_PROTOCOL = 5;
const FRAME_HEADER_BYTES = 11;
const MAX_INT64_BYTES = 8;
/** MEMOIZE, TUPLE3, MEMOIZE, STOP: the text and the tuple are memoised. */
const END = 0x9487_942e;
/** Frame header, two LONG1 of 8 bytes, the text's header, the end. */
const MOST_BYTES_AROUND_TEXT = FRAME_HEADER_BYTES + 2 * (2 + MAX_INT64_BYTES) + 5 + 4;

/**
 * The bytes of Python's `pickle.dumps((image_id, text_id, text))`.
 *
 * @throws InvalidInputError for an id that is no 64-bit integer, and a text above {@link MAX_TEXT_BYTES} or with half
 * of a surrogate pair.
 */
export function encodePair({ imageId, textId, text }: Pair): Buffer {
  if (!text.isWellFormed()) throw new InvalidInputError('the text has half of a surrogate pair');
  const textBytes = Buffer.byteLength(text);
  if (textBytes > MAX_TEXT_BYTES)
    throw new InvalidInputError(`the text has ${textBytes} bytes; the limit is ${MAX_TEXT_BYTES}`);
  const pickle = Buffer.allocUnsafe(MOST_BYTES_AROUND_TEXT + textBytes);
  let end = writeInteger(pickle, FRAME_HEADER_BYTES, imageId);
  end = writeInteger(pickle, end, textId);
  end = writeTextHeader(pickle, end, textBytes);
  end += pickle.write(text, end);
  pickle.writeUInt32BE(END, end);
  end += 4;
  pickle[0] = PROTO;
  pickle[1] = PROTOCOL_WRITTEN;
  pickle[2] = FRAME;
  pickle.writeUInt32LE(end - FRAME_HEADER_BYTES, 3);
  pickle.writeUInt32LE(0, 7);
  return pickle.subarray(0, end);
}

/** Each of these writes at `at` and returns the place after. */
function writeInteger(pickle: Buffer, at: number, decimal: string): number {
  if (!isInt64(decimal)) throw new InvalidInputError(`the id ${decimal} is not a 64-bit integer in decimal`);
  const value = Number(decimal);
  if (value !== (value | 0)) return writeLong(pickle, at, BigInt(decimal));
  if (value >= 0 && value <= 0xff) {
    pickle[at] = BININT1;
    pickle[at + 1] = value;
    return at + 2;
  }
  if (value >= 0 && value <= 0xffff) {
    pickle[at] = BININT2;
    return pickle.writeUInt16LE(value, at + 1);
  }
  pickle[at] = BININT;
  return pickle.writeInt32LE(value, at + 1);
}

/** Two's complement in as few bytes as hold the sign. */
function writeLong(pickle: Buffer, at: number, value: bigint): number {
  pickle.writeBigInt64LE(value, at + 2);
  const sign = value < 0n ? 0xff : 0;
  let bytes = MAX_INT64_BYTES;
  while (pickle[at + 1 + bytes] === sign && ((pickle[at + bytes] as number) ^ sign) < 0x80) bytes -= 1;
  pickle[at] = LONG1;
  pickle[at + 1] = bytes;
  return at + 2 + bytes;
}

function writeTextHeader(pickle: Buffer, at: number, textBytes: number): number {
  if (textBytes < 0x100) {
    pickle[at] = SHORT_BINUNICODE;
    pickle[at + 1] = textBytes;
    return at + 2;
  }
  pickle[at] = BINUNICODE;
  return pickle.writeUInt32LE(textBytes, at + 1);
}

/**
 * The pair in a pickle that Python's `pickle.dumps` made with protocol 2 to 5.
 *
 * @throws DataLossError for anything else.
 */
export function decodePair(pickle: Buffer): Pair {
  const reader = new PickleReader(pickle);
  reader.protocol();
  const imageId = reader.integer();
  const textId = reader.integer();
  const text = reader.text();
  reader.tupleAndStop();
  return { imageId, textId, text };
}

class PickleReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  protocol(): void {
    if (this.#byte() !== PROTO) throw broken('it does not begin as a pickle of protocol 2 or above');
    const protocol = this.#byte();
    if (protocol < OLDEST_PROTOCOL || protocol > NEWEST_PROTOCOL) throw broken(`protocol ${protocol}`);
  }

  /** In decimal. */
  integer(): string {
    const opcode = this.#opcode();
    switch (opcode) {
      case BININT1:
        return String(this.#byte());
      case BININT2:
        return String(this.#take(2).readUInt16LE());
      case BININT:
        return String(this.#take(4).readInt32LE());
      case LONG1:
        return this.#long();
      default:
        throw broken(`opcode ${hex(opcode)} where an integer belongs`);
    }
  }

  text(): string {
    const opcode = this.#opcode();
    if (opcode !== SHORT_BINUNICODE && opcode !== BINUNICODE && opcode !== BINUNICODE8)
      throw broken(`opcode ${hex(opcode)} where the text belongs`);
    const bytes = this.#take(this.#textBytes(opcode));
    if (!isUtf8(bytes)) throw broken('the text is not UTF-8');
    return bytes.toString('utf8');
  }

  tupleAndStop(): void {
    const tuple = this.#opcode();
    if (tuple !== TUPLE3) throw broken(`opcode ${hex(tuple)} where the tuple of three ends`);
    const stop = this.#opcode();
    if (stop !== STOP) throw broken(`opcode ${hex(stop)} after the tuple`);
    if (this.#position !== this.#bytes.length) throw broken('bytes after its end');
  }

  #textBytes(opcode: number): number {
    if (opcode === SHORT_BINUNICODE) return this.#byte();
    const length = this.#take(opcode === BINUNICODE ? 4 : 8);
    return opcode === BINUNICODE ? length.readUInt32LE() : Number(length.readBigUInt64LE());
  }

  #long(): string {
    const length = this.#byte();
    if (length > MAX_INT64_BYTES) throw broken('an id above 64 bits');
    const bytes = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes.readUInt8(i));
    return String(BigInt.asIntN(8 * length, value));
  }

  /** The next opcode that is not about framing or memoising: nothing here is ever fetched from the memo. */
  #opcode(): number {
    for (;;) {
      const opcode = this.#byte();
      if (opcode === FRAME) this.#take(8);
      else if (opcode === BINPUT) this.#take(1);
      else if (opcode === LONG_BINPUT) this.#take(4);
      else if (opcode !== MEMOIZE) return opcode;
    }
  }

  #byte(): number {
    return this.#take(1).readUInt8();
  }

  #take(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw broken('it ends too early');
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }
}

function broken(what: string): DataLossError {
  return new DataLossError(`not a pickled (image_id, text_id, text): ${what}`);
}

function hex(opcode: number): string {
  return `0x${opcode.toString(16).padStart(2, '0')}`;
}
