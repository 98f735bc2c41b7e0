import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { milvusEnvironment } from './environment.ts';

/** The server saves what it has in memory when it is interrupted. */
const STOP_TIMEOUT_MS = 30_000;

export interface MilvusServer {
  /** host:port, on loopback. */
  readonly address: string;
  /** Ends it as Ctrl-C does; what was written stays in its folder. */
  stop(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
}

/**
 * Starts the vendor's small server on a folder, on a free port of loopback or on the port given.
 *
 * @throws when it ends before it listens, with what it said.
 */
export async function startMilvus(folder: string, port?: number): Promise<MilvusServer> {
  const chosen = port ?? (await freePort());
  const args = ['-u', '-m', 'milvus_lite', 'server', '--data-dir', folder, '--host', '127.0.0.1'];
  const child = spawn(milvusEnvironment().python, [...args, '--port', String(chosen)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const ended = await Promise.race([exited, sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
    if (!ended) child.kill('SIGKILL');
    await exited;
  };
  await whenListening(child);
  return {
    address: `127.0.0.1:${chosen}`,
    stop: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
  };
}

async function whenListening(child: ChildProcess): Promise<void> {
  if (!child.stdout || !child.stderr) throw new Error('the server has no output');
  const errors: string[] = [];
  createInterface(child.stderr).on('line', (line) => errors.push(line));
  const lines = createInterface(child.stdout);
  for await (const line of lines) {
    if (!line.includes('listening')) continue;
    child.stdout.resume();
    return;
  }
  throw new Error(`the Milvus server ended: ${errors.slice(-10).join('\n')}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
