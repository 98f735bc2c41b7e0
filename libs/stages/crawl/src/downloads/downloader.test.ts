import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledError } from '@online-cnclip/foundation';
import sharp from 'sharp';
import type { SiteCookie } from '../browser/site-browser.ts';
import type { DownloadError } from './download-error.ts';
import { Downloader, type DownloaderOptions, type DownloadRequest } from './downloader.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const cookie = (changes: Partial<SiteCookie>): SiteCookie => ({
  name: 'user',
  value: 'secret',
  domain: '127.0.0.1',
  path: '/',
  httpOnly: true,
  secure: false,
  ...changes,
});

describe('downloads', () => {
  let server: Server;
  let port: number;
  let picture: Buffer;
  let answers: Record<string, Answer>;
  let requests: IncomingMessage[];

  const send =
    (body: Buffer | string, contentType = 'image/png', status = 200): Answer =>
    (_, response) => {
      response.writeHead(status, { 'content-type': contentType }).end(body);
    };

  before(async () => {
    const stripes = Buffer.from(Array.from({ length: 64 * 32 * 3 }, (_, i) => (i * 7) % 256));
    picture = await sharp(stripes, { raw: { width: 64, height: 32, channels: 3 } })
      .png()
      .toBuffer();
    server = createServer((request, response) => {
      requests.push(request);
      const answer = answers[request.url ?? ''];
      if (answer) answer(request, response);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    answers = { '/ok': send(picture) };
    requests = [];
  });

  const url = (path: string): string => `http://127.0.0.1:${port}${path}`;
  const fetchImages = (
    paths: string[],
    options: Partial<DownloaderOptions> = {},
    more: Partial<DownloadRequest> = {},
  ) => {
    const downloader = new Downloader({
      siteHost: '127.0.0.1',
      exempt: { host: '127.0.0.1', port },
      imageIntervalMs: 0,
      limits: { maxBytes: 200_000, totalMs: 10_000, rateWindowMs: 100, minBytesPerSecond: 1_000 },
      ...options,
    });
    return downloader.fetchImages({
      candidates: paths.map((path, rank) => ({ url: path.startsWith('/') ? url(path) : path, rank })),
      wanted: 100,
      pageUrl: url('/page'),
      sessionId: 5n,
      userAgent: 'agent',
      cookies: [],
      signal: new AbortController().signal,
      ...more,
    });
  };
  const failureOf = async (
    path: string,
    options: Partial<DownloaderOptions> = {},
  ): Promise<DownloadError> => {
    const { images, failures } = await fetchImages([path], options);
    assert.equal(images.length, 0);
    return failures[0] as DownloadError;
  };

  it('makes a 224 x 224 RGB JPEG, with where it came from', async () => {
    const { images } = await fetchImages(['/ok']);
    const [image] = images;
    const { width, height, format, channels } = await sharp(image?.jpeg).metadata();
    assert.deepEqual(
      { width, height, format, channels },
      { width: 224, height: 224, format: 'jpeg', channels: 3 },
    );
    assert.deepEqual(
      [image?.sourceUrl, image?.pageUrl, image?.rank, image?.sessionId],
      [url('/ok'), url('/page'), 1, 5n],
    );
    assert.equal(requests[0]?.headers['user-agent'], 'agent');
    assert.equal(requests[0]?.headers.referer, url('/page'));
  });

  it('stops when it has what is wanted, and makes up for what fails', async () => {
    answers['/other'] = send(await sharp(picture).negate().png().toBuffer());
    const { images, failures } = await fetchImages(
      ['/missing', '/ok', '/other', '/never'],
      {},
      { wanted: 2 },
    );
    assert.deepEqual(
      images.map(({ rank }) => rank),
      [2, 3],
    );
    assert.deepEqual(
      failures.map(({ failure }) => failure),
      ['status'],
    );
    assert.ok(!requests.some((request) => request.url === '/never'));
  });

  it('keeps duplicates once, by bytes and by looks', async () => {
    answers['/copy'] = send(picture);
    answers['/recompressed'] = send(await sharp(picture).jpeg({ quality: 85 }).toBuffer(), 'image/jpeg');
    const results: string[] = [];
    const { images } = await fetchImages(['/ok', '/copy', '/recompressed'], {
      onDownload: (result) => results.push(result),
    });
    assert.equal(images.length, 1);
    assert.deepEqual(results, ['ok', 'ok', 'ok', 'duplicate', 'duplicate']);
  });

  it('sends cookies to the site only', async () => {
    const cookies = [
      cookie({}),
      cookie({ name: 'other', domain: '.elsewhere' }),
      cookie({ name: 'old', expiresAt: 1 }),
      cookie({ name: 'safe', secure: true }),
      cookie({ name: 'deep', path: '/deep' }),
    ];
    await fetchImages(['/ok'], {}, { cookies });
    assert.equal(requests[0]?.headers.cookie, 'user=secret');
    await fetchImages(['/ok'], { siteHost: 'shop.example' }, { cookies });
    assert.equal(requests[1]?.headers.cookie, undefined);
  });

  it('follows redirects, a few', async () => {
    answers['/there'] = (_, response) => response.writeHead(302, { location: '/ok' }).end();
    assert.equal((await fetchImages(['/there'])).images.length, 1);
    answers['/round'] = (_, response) => response.writeHead(302, { location: '/round' }).end();
    assert.equal((await failureOf('/round')).failure, 'too-many-redirects');
  });

  it('refuses private and special addresses, at each hop and however they are written', async () => {
    answers['/out'] = (_, response) => response.writeHead(302, { location: 'http://10.0.0.1/x.jpg' }).end();
    answers['/same-host'] = (_, response) =>
      response.writeHead(302, { location: 'http://127.0.0.1:9/x.jpg' }).end();
    const places = [
      '/out',
      '/same-host',
      'http://localhost/x',
      'http://[::1]/x',
      'http://[::ffff:10.0.0.1]/x',
      'http://2130706433/x',
      'http://0x7f.1/x',
      'http://169.254.169.254/latest',
      'http://100.64.0.1/x',
      'http://0.0.0.0/x',
      'http://[fe80::1]/x',
      'http://[64:ff9b::7f00:1]/x',
      'http://224.0.0.1/x',
    ];
    for (const place of places) assert.equal((await failureOf(place)).failure, 'private-address', place);
    const resolve = async () => [
      { address: '93.184.216.34', family: 4 },
      { address: '192.168.0.1', family: 4 },
    ];
    assert.equal((await failureOf('http://both.example/x', { resolve })).failure, 'private-address');
    for (const place of ['file:///etc/passwd', 'http://user:word@127.0.0.1/x', 'nothing'])
      assert.equal((await failureOf(place)).failure, 'refused-url', place);
  });

  it('connects to the address that was checked, whatever the name resolves to later', async () => {
    let resolved = 0;
    const resolve = async () => {
      resolved += 1;
      return [{ address: resolved === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    };
    // The exempt address is the literal one: the name that resolves to it is refused.
    assert.equal((await failureOf(`http://shop.example:${port}/ok`, { resolve })).failure, 'private-address');
    assert.equal(resolved, 1);
  });

  const faults: Record<string, [answer: Answer, failure: string]> = {
    'a page instead of an image': [send('<html></html>', 'text/html; charset=utf-8'), 'html'],
    'a page that says to be an image': [send('<!DOCTYPE html><html></html>', 'image/jpeg'), 'html'],
    'something else': [send('GIF, but not really', 'image/gif'), 'not-an-image'],
    'an SVG': [send('<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'), 'not-an-image'],
    nothing: [send(''), 'damaged'],
    'a status': [send('gone', 'text/plain', 410), 'status'],
    "the server's error": [send('', 'text/plain', 500), 'server-error'],
    'too many bytes, announced': [send(Buffer.alloc(300_000)), 'too-large'],
    'too many bytes, not announced': [
      (_, response) => {
        response.writeHead(200, { 'content-type': 'image/png' });
        for (let i = 0; i < 30; i += 1) response.write(Buffer.alloc(10_000));
        response.end();
      },
      'too-large',
    ],
    'a drip': [
      (_, response) => {
        response.writeHead(200, { 'content-type': 'image/png' });
        const timer = setInterval(() => response.write('x'), 20);
        response.on('close', () => clearInterval(timer));
      },
      'too-slow',
    ],
    'a reset': [
      (_, response) => {
        response.writeHead(200, { 'content-type': 'image/png', 'content-length': '100000' });
        response.write(Buffer.alloc(1_000), () => response.destroy());
      },
      'connection',
    ],
  };
  for (const [name, [answer, failure]] of Object.entries(faults))
    it(`names ${name}: ${failure}`, async () => {
      answers['/fault'] = answer;
      assert.equal((await failureOf('/fault')).failure, failure);
    });

  it('names a truncated image and a bomb', async () => {
    answers['/cut'] = send(picture.subarray(0, picture.length / 2));
    assert.equal((await failureOf('/cut')).failure, 'damaged');
    answers['/cut-header'] = send(picture.subarray(0, 20));
    assert.equal((await failureOf('/cut-header')).failure, 'damaged');
    const bomb = Buffer.from(picture);
    bomb.writeUInt32BE(60_000, 16);
    bomb.writeUInt32BE(60_000, 20);
    answers['/bomb'] = send(bomb);
    assert.equal((await failureOf('/bomb')).failure, 'too-many-pixels');
  });

  it('stops when a host asks to slow down, and says for how long', async () => {
    answers['/slow-down'] = (_, response) => response.writeHead(429, { 'retry-after': '7' }).end();
    const paths = ['/slow-down', '/ok', '/a', '/b', '/never'];
    const { rateLimit, images } = await fetchImages(paths);
    assert.equal(rateLimit?.retryAfterMs, 7_000);
    assert.equal(images.length, 1);
    assert.ok(!requests.some((request) => request.url === '/never'));
  });

  it('names a host that does not resolve, and one that does not answer', async () => {
    const resolve = async () => Promise.reject(new Error('ENOTFOUND'));
    assert.equal((await failureOf('http://none.example/x', { resolve })).failure, 'dns');
    answers['/silent'] = () => {};
    const limits = { totalMs: 200 };
    const failure = await failureOf('/silent', { limits });
    assert.equal(failure.failure, 'timeout');
    assert.ok(failure.retryable);
  });

  it('ends when it is told to', async () => {
    answers['/silent'] = () => {};
    const abort = new AbortController();
    const fetching = fetchImages(['/silent'], {}, { signal: abort.signal });
    await sleep(50);
    abort.abort();
    await assert.rejects(fetching, CancelledError);
  });
});
