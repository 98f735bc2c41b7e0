import { FailedPreconditionError, InvalidInputError, messageOf } from '@online-cnclip/foundation';
import jsQrModule from 'jsqr';
import sharp from 'sharp';

/** The package's types speak of a default export beside others; what Node imports is the function itself. */
const findCode = jsQrModule as unknown as typeof jsQrModule.default;

/** Far above any log-in page's code. */
const MAX_CODE_PIXELS = 4096 * 4096;
const PHONE_TIMEOUT_MS = 10_000;

/** What a QR code says. @throws InvalidInputError when the picture holds none. */
export async function readQrCode(png: Uint8Array): Promise<string> {
  const image = sharp(png, { limitInputPixels: MAX_CODE_PIXELS }).flatten({ background: '#ffffff' });
  const { data, info } = await image
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw new InvalidInputError(`cannot be read as a picture: ${messageOf(cause)}`, {
        cause,
        place: 'QR code',
      });
    });
  const code = findCode(new Uint8ClampedArray(data), info.width, info.height);
  if (!code?.data) throw new InvalidInputError('no code in the picture', { place: 'QR code' });
  return code.data;
}

/**
 * Does with a log-in code what its owner's phone does: opens the address in it, and once more to confirm. Only that of
 * the fixture shop is opened: the codes of a real shop are for people.
 *
 * @param shop address of the fixture shop, `127.0.0.1:8070`.
 * @throws FailedPreconditionError when the code leads elsewhere or the shop refuses it.
 */
export async function scanWithPhone(png: Uint8Array, shop: string, signal: AbortSignal): Promise<void> {
  const text = await readQrCode(png);
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' || url.host !== shop)
    throw new FailedPreconditionError(`leads to ${text} and not to the fixture shop at ${shop}`, {
      place: 'QR code',
    });
  for (const step of ['scanned', 'confirmed']) {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(PHONE_TIMEOUT_MS)]);
    const response = await fetch(url, { signal: limited });
    await response.body?.cancel();
    if (!response.ok)
      throw new FailedPreconditionError(`cannot be ${step}: the shop answers ${response.status}`, {
        place: 'QR code',
      });
  }
}
