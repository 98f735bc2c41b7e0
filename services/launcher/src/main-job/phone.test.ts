import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import QrCode from 'qrcode';
import sharp from 'sharp';
import { readQrCode, scanWithPhone } from './phone.ts';

let server: Server;
let shop: string;
let opened: string[];
let status: number;
const signal = new AbortController().signal;

beforeEach(async () => {
  opened = [];
  status = 200;
  server = createServer((request, response) => {
    opened.push(request.url ?? '');
    response.writeHead(status).end('ok');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  shop = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => server.close());

test('reads a code, on a clear ground too', async () => {
  const text = 'http://127.0.0.1:8070/member/phone?token=0f9f0d7e-8a52-4c0b-9d3c-6b1f6f0b5c11';
  assert.equal(await readQrCode(await QrCode.toBuffer(text, { width: 180 })), text);
  const clear = await QrCode.toBuffer(text, { color: { dark: '#000000ff', light: '#00000000' } });
  assert.equal(await readQrCode(clear), text);
});

test('a picture without a code and bytes that are no picture are refused', async () => {
  const empty = await sharp({ create: { width: 90, height: 90, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  await assert.rejects(readQrCode(empty), InvalidInputError);
  await assert.rejects(readQrCode(Buffer.from('no picture')), InvalidInputError);
});

test('a scan opens the address twice', async () => {
  await scanWithPhone(await QrCode.toBuffer(`http://${shop}/member/phone?token=1`), shop, signal);
  assert.deepEqual(opened, ['/member/phone?token=1', '/member/phone?token=1']);
});

test('a code that leads elsewhere is not opened', async () => {
  for (const text of [`http://${shop}1/`, `https://${shop}/`, 'no address', 'http://127.0.0.1/'])
    await assert.rejects(scanWithPhone(await QrCode.toBuffer(text), shop, signal), FailedPreconditionError);
  assert.deepEqual(opened, []);
});

test('a shop that refuses is an error', async () => {
  status = 410;
  await assert.rejects(scanWithPhone(await QrCode.toBuffer(`http://${shop}/`), shop, signal), /410/);
});
