import { setTimeout as sleep } from 'node:timers/promises';
import { crc32, deflateSync } from 'node:zlib';
import type { ImageFault } from './faults.ts';
import { type Exchange, sendHtml, sendTo } from './http.ts';
import type { Picture } from './pictures.ts';

/** An address that a shop's image must never lead to: the metadata service of a cloud. */
const PRIVATE_ADDRESS = 'http://169.254.169.254/latest/meta-data/';
/** One byte a second. */
const DRIP_PAUSE_MS = 1_000;
const TRUNCATED_SHARE = 0.4;
/** Claims 100,000 x 100,000 pixels, 40 GB once decoded, in a few hundred bytes. */
const BOMB_SIDE = 100_000;

export async function answerImage(
  exchange: Exchange,
  picture: Picture,
  fault: ImageFault | undefined,
): Promise<void> {
  const { response, request } = exchange;
  switch (fault) {
    case 'html-image':
      return sendHtml(exchange, '<!doctype html><title>图片不存在</title>');
    case 'missing-image':
      return sendHtml(exchange, '<!doctype html><title>图片不存在</title>', 404);
    case 'redirect-image':
      return sendTo(exchange, PRIVATE_ADDRESS);
    case 'reset-image':
      request.socket.resetAndDestroy();
      return;
    case 'truncated-image':
      // A whole answer as far as HTTP goes: only decoding shows what is missing.
      return sendImage(exchange, { ...picture, bytes: head(picture.bytes) });
    case 'bomb-image':
      return sendImage(exchange, { mediaType: 'image/png', bytes: bomb() });
    case 'drip-image':
      response.writeHead(200, {
        'content-type': picture.mediaType,
        'content-length': picture.bytes.length,
      });
      return drip(exchange, picture.bytes);
    default:
      return sendImage(exchange, picture);
  }
}

function sendImage({ response }: Exchange, { bytes, mediaType }: Picture): void {
  response.writeHead(200, { 'content-type': mediaType, 'content-length': bytes.length }).end(bytes);
}

const head = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length * TRUNCATED_SHARE));

async function drip({ response }: Exchange, bytes: Buffer): Promise<void> {
  for (let i = 0; i < bytes.length && !response.destroyed; i++) {
    response.write(bytes.subarray(i, i + 1));
    await sleep(DRIP_PAUSE_MS, undefined, { ref: false });
  }
  response.end();
}

/** A PNG whose header is valid and enormous. */
function bomb(): Buffer {
  const size = Buffer.alloc(13);
  size.writeUInt32BE(BOMB_SIDE, 0);
  size.writeUInt32BE(BOMB_SIDE, 4);
  size.set([8, 2, 0, 0, 0], 8);
  const rows = deflateSync(Buffer.alloc(BOMB_SIDE));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    ...[chunk('IHDR', size), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))],
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type), data]);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
