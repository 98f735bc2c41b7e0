import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
  UnavailableError,
} from '@online-cnclip/foundation';
import { MilvusConnection } from './connection.ts';

const folder = await mkdtemp(join(tmpdir(), 'milvus-connection-'));
after(() => rm(folder, { recursive: true }));

/** A port of loopback that accepts and never says a word. */
async function silentPort(): Promise<{ readonly address: string; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // Its other end goes away in the middle of things.
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: `127.0.0.1:${address.port}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test('a server that does not answer is waited for until the time limit or the abort', async () => {
  const silent = await silentPort();
  const connection = new MilvusConnection({ address: silent.address, timeoutMs: 200 });
  await assert.rejects(connection.call('GetVersion', {}), DeadlineExceededError);
  const reason = new Error('enough');
  const stop = new AbortController();
  const call = connection.call('GetVersion', {}, { signal: stop.signal });
  setImmediate(() => stop.abort(reason));
  await assert.rejects(call, (error) => error === reason);
  await assert.rejects(
    connection.call('GetVersion', {}, { signal: stop.signal }),
    (error) => error === reason,
  );
  await connection.close();
  await assert.rejects(connection.call('GetVersion', {}), FailedPreconditionError);
  silent.close();
});

test('a server that is not there is unavailable', async () => {
  const gone = await silentPort();
  gone.close();
  const connection = new MilvusConnection({ address: gone.address, timeoutMs: 30_000 });
  await assert.rejects(connection.call('GetVersion', {}), UnavailableError);
  await connection.close();
});

test('files of the options are read at once, and named when they are no good', async () => {
  const there = join(folder, 'file');
  await writeFile(there, 'x');
  const missing = join(folder, 'missing');
  const base = { address: '127.0.0.1:1', timeoutMs: 1_000 };
  for (const [options, place] of [
    [{ tokenFile: missing }, missing],
    [{ tlsCaFile: missing }, missing],
    [{ tlsCaFile: there, tlsCertificateFile: there }, 'tlsKeyFile'],
    [{ tlsCaFile: there, tlsKeyFile: there }, 'tlsCertificateFile'],
    [{ tlsCertificateFile: there, tlsKeyFile: there }, 'tlsCaFile'],
  ] as const)
    assert.throws(
      () => new MilvusConnection({ ...base, ...options }),
      (error) => error instanceof InvalidInputError && error.place === place,
    );
});
