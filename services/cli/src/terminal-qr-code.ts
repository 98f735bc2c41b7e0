import { decodeImage, resizeRgb } from '@online-cnclip/preprocessing';
import jsqr from 'jsqr';
import QRCode from 'qrcode';

// A CommonJS module whose types are of an ES module.
const readQrCode = jsqr as unknown as typeof jsqr.default;

/**
 * A picture of a QR code as characters that a phone can scan from a terminal.
 *
 * @returns undefined when no code is found in it.
 */
export async function drawQrCode(png: Uint8Array): Promise<string | undefined> {
  const decoded = await decodeImage(png);
  const { width, height, data } = resizeRgb(decoded, decoded.width, decoded.height);
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i += 1) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  const code = readQrCode(rgba, width, height);
  return code ? QRCode.toString(code.data, { type: 'utf8', errorCorrectionLevel: 'L' }) : undefined;
}
