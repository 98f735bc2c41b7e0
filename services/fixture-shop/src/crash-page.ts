import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';

/**
 * Crashes the pages of the browser that is at the other end of a loopback connection, by killing their processes. A page
 * can also crash itself, by filling the memory: that takes gigabytes and many seconds.
 *
 * @returns how many processes were killed: none where this is no Linux, or the browser is another user's.
 */
export function crashPages(socket: Socket): number {
  const browser = ownerOf(socket);
  if (browser === undefined) return 0;
  const group = processGroup(browser);
  const pages = processIds().filter(
    (pid) => processGroup(pid) === group && read(`/proc/${pid}/cmdline`).includes('--type=renderer'),
  );
  for (const pid of pages) process.kill(pid, 'SIGKILL');
  return pages.length;
}

/** The process that holds the client's end: found by the socket's inode in the kernel's table. */
function ownerOf({ remotePort = 0, localPort = 0 }: Socket): number | undefined {
  const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0');
  const line = read('/proc/net/tcp')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .find(
      ([, local, remote]) =>
        local?.endsWith(`:${port(remotePort)}`) && remote?.endsWith(`:${port(localPort)}`),
    );
  const link = `socket:[${line?.[9]}]`;
  return processIds().find((pid) => descriptors(pid).includes(link));
}

const processIds = (): number[] =>
  list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

const descriptors = (pid: number): string[] =>
  list(`/proc/${pid}/fd`).map((name) => attempt(() => readlinkSync(`/proc/${pid}/fd/${name}`)) ?? '');

/** The fifth field; the second, the command in brackets, may hold spaces. */
const processGroup = (pid: number): string | undefined =>
  read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[2];

const read = (path: string): string => attempt(() => readFileSync(path, 'utf8')) ?? '';
const list = (path: string): string[] => attempt(() => readdirSync(path)) ?? [];

/** Processes come and go while they are looked at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
