import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';

/** Pictures by their path, no two alike; `/bad...` is a page, `/slow-down` asks for rest. */
export async function servePictures(): Promise<{ server: Server; port: number }> {
  const server = createServer(async (request, response) => {
    const path = request.url ?? '';
    if (path.startsWith('/bad')) response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    else if (path.startsWith('/slow-down')) response.writeHead(503, { 'retry-after': '0' }).end();
    else response.writeHead(200, { 'content-type': 'image/png' }).end(await paint(path));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

function paint(text: string): Promise<Buffer> {
  const bytes = createHash('sha512').update(text).digest();
  return sharp(bytes.subarray(0, 48), { raw: { width: 4, height: 4, channels: 3 } })
    .resize(64, 64, { kernel: 'nearest' })
    .png()
    .toBuffer();
}
