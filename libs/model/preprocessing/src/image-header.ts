import { InvalidInputError } from '@online-cnclip/foundation';

/**
 * The formats that are accepted. Others that the decoder library knows (SVG, TIFF, HEIF) are refused by their first
 * bytes: product images do not come in them, and they widen what a hostile file can reach.
 */
export const IMAGE_FORMATS = ['jpeg', 'png', 'gif', 'webp'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** Pillow's names. The mode decides how an image is resized. */
export type ImageMode = '1' | 'L' | 'LA' | 'P' | 'RGB' | 'RGBA' | 'CMYK' | 'I;16';

export interface ImageHeader {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  /** `undefined` for WebP, where only decoding tells RGB from RGBA. */
  readonly mode: ImageMode | undefined;
  /** How the decoder library goes about it, which decides on the memory that it takes. */
  readonly decoding: 'rows' | 'whole';
  /** What a GIF's palette holds at its transparent index: Pillow shows it, the decoder library does not. */
  readonly transparentColor?: Uint8Array | undefined;
}

/**
 * Reads format, size and mode from an image file's first bytes, without decoding it.
 *
 * @throws InvalidInputError when the bytes are none of {@link IMAGE_FORMATS} or end within the header.
 */
export function readImageHeader(file: Uint8Array): ImageHeader {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  try {
    return HEADER_READERS[formatOf(bytes)](bytes);
  } catch (cause) {
    // What Buffer's readers throw past the end.
    if (!(cause instanceof RangeError)) throw cause;
    throw new InvalidInputError('ends within its header', { place: 'image', cause });
  }
}

const HEADER_READERS: Readonly<Record<ImageFormat, (bytes: Buffer) => ImageHeader>> = {
  jpeg: readJpegHeader,
  png: readPngHeader,
  gif: readGifHeader,
  webp: readWebpHeader,
};

function formatOf(bytes: Buffer): ImageFormat {
  const start = bytes.toString('latin1', 0, 12);
  if (start.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (/^GIF8[79]a/.test(start)) return 'gif';
  if (/^RIFF.{4}WEBP/s.test(start)) return 'webp';
  const reason = bytes.length === 0 ? 'is empty' : `is none of ${IMAGE_FORMATS.join(', ')}`;
  throw new InvalidInputError(reason, { place: 'image' });
}

/** Walks the markers up to the frame header (ISO/IEC 10918-1, B.2.2). */
function readJpegHeader(bytes: Buffer): ImageHeader {
  let at = 2;
  for (;;) {
    if (bytes.readUInt8(at) !== 0xff) throw new InvalidInputError('has a damaged header', { place: 'image' });
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else if (isFrameMarker(marker)) break;
    else at += 2 + bytes.readUInt16BE(at + 2);
  }
  const components = bytes.readUInt8(at + 9);
  const mode = ({ 1: 'L', 3: 'RGB', 4: 'CMYK' } as const)[components];
  if (!mode)
    throw new InvalidInputError(`has ${components} components, not 1, 3 or 4`, { place: 'JPEG image' });
  // Baseline and extended sequential; of any other kind the coefficients of the whole image are kept.
  const decoding = bytes.readUInt8(at + 1) <= 0xc1 && mode !== 'CMYK' ? 'rows' : 'whole';
  return {
    format: 'jpeg',
    width: bytes.readUInt16BE(at + 7),
    height: bytes.readUInt16BE(at + 5),
    mode,
    decoding,
  };
}

/** SOF0 to SOF15 without the Huffman, arithmetic-conditioning and extension markers between them. */
const isFrameMarker = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;

function readPngHeader(bytes: Buffer): ImageHeader {
  if (bytes.toString('latin1', 12, 16) !== 'IHDR')
    throw new InvalidInputError('does not start with an IHDR chunk', { place: 'PNG image' });
  const bitDepth = bytes.readUInt8(24);
  const colorType = bytes.readUInt8(25);
  const gray = bitDepth === 1 ? '1' : bitDepth === 16 ? 'I;16' : 'L';
  const mode = ({ 0: gray, 2: 'RGB', 3: 'P', 4: 'LA', 6: 'RGBA' } as const)[colorType];
  if (!mode) throw new InvalidInputError(`has colour type ${colorType}`, { place: 'PNG image' });
  const isInterlaced = bytes.readUInt8(28) !== 0;
  const isWhole = isInterlaced || bitDepth === 16 || mode === 'LA' || mode === 'RGBA';
  return {
    format: 'png',
    width: bytes.readUInt32BE(16),
    height: bytes.readUInt32BE(20),
    mode,
    decoding: isWhole ? 'whole' : 'rows',
  };
}

/** Size of the screen; the palette of the first frame tells gray from colour, as in Pillow (GIF89a specification). */
function readGifHeader(bytes: Buffer): ImageHeader {
  const size = { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  const screenFlags = bytes.readUInt8(10);
  let at = 13 + paletteBytes(screenFlags);
  let palette = bytes.subarray(13, at);
  let transparentIndex: number | undefined;
  while (bytes.readUInt8(at) === 0x21) {
    const flags = bytes.readUInt8(at + 3);
    if (bytes.readUInt8(at + 1) === 0xf9 && flags & 1) transparentIndex = bytes.readUInt8(at + 6);
    at += 2;
    while (bytes.readUInt8(at) !== 0) at += 1 + bytes.readUInt8(at);
    at += 1;
  }
  if (bytes.readUInt8(at) !== 0x2c) throw new InvalidInputError('holds no frame', { place: 'GIF image' });
  const frameFlags = bytes.readUInt8(at + 9);
  if (frameFlags & 0x80) palette = bytes.subarray(at + 10, at + 10 + paletteBytes(frameFlags));
  const mode = isGrayRamp(palette) ? 'L' : 'P';
  if (transparentIndex === undefined) return { format: 'gif', ...size, mode, decoding: 'whole' };
  const color = palette.subarray(3 * transparentIndex, 3 * transparentIndex + 3);
  const transparentColor = color.length === 3 ? color : new Uint8Array(3);
  return { format: 'gif', ...size, mode, decoding: 'whole', transparentColor };
}

const paletteBytes = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);

const isGrayRamp = (palette: Uint8Array): boolean =>
  palette.every((value, position) => value === Math.floor(position / 3));

/** The first chunk holds the size: VP8X (extended), VP8L (lossless) or VP8 (RFC 9649). */
function readWebpHeader(bytes: Buffer): ImageHeader {
  const chunk = bytes.toString('latin1', 12, 16);
  const at = 20;
  if (chunk === 'VP8X') return webp(1 + bytes.readUIntLE(at + 4, 3), 1 + bytes.readUIntLE(at + 7, 3));
  if (chunk === 'VP8L') {
    const packed = bytes.readUInt32LE(at + 1);
    return webp(1 + (packed & 0x3fff), 1 + ((packed >>> 14) & 0x3fff));
  }
  if (chunk === 'VP8 ') return webp(bytes.readUInt16LE(at + 6) & 0x3fff, bytes.readUInt16LE(at + 8) & 0x3fff);
  throw new InvalidInputError('does not start with a picture chunk', { place: 'WebP image' });
}

const webp = (width: number, height: number): ImageHeader => ({
  format: 'webp',
  width,
  height,
  mode: undefined,
  decoding: 'whole',
});
