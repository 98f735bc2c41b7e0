import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

/** What a stream hands on at a time: as much as Gloo passes on at once. */
const CHUNK_BYTES = 4 << 20;

/** Sends so many bytes and takes as many, both at once. */
export async function exchange(socket: Socket, bytes: number): Promise<void> {
  const received = new Promise<void>((resolve) => {
    let left = bytes;
    const onData = (data: Buffer) => {
      left -= data.length;
      if (left > 0) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
  });
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes));
  for (let sent = 0; sent < bytes; sent += chunk.length)
    if (!socket.write(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))) await once(socket, 'drain');
  await received;
}

/** A connection on the loopback to a process of its own, which exchanges as often as it is asked to. */
export class SocketPair {
  readonly #child: ChildProcess;
  readonly #socket: Socket;

  private constructor(child: ChildProcess, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
  }

  static async open(): Promise<SocketPair> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const child = fork(fileURLToPath(new URL('./socket-exchange-process.ts', import.meta.url)), [
      String(port),
    ]);
    const [socket] = (await once(server, 'connection')) as [Socket];
    server.close();
    return new SocketPair(child, socket.setNoDelay(true));
  }

  async run(bytes: number): Promise<void> {
    this.#child.send(bytes);
    await exchange(this.#socket, bytes);
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#socket.destroy();
    this.#child.disconnect();
    await ended;
  }
}
