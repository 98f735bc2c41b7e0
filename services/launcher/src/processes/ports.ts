import { createServer } from 'node:net';
import { UnavailableError } from '@online-cnclip/foundation';

export const LOOPBACK = '127.0.0.1';

/**
 * A port of the loopback interface that nothing listens on: the wanted one, or any other when that is taken
 * or 0. It is free at the time of asking only, so hand it out at once; `taken` are ports handed out before.
 *
 * @throws UnavailableError when the system has no port to give.
 */
export async function findFreePort(wanted: number, taken: ReadonlySet<number> = new Set()): Promise<number> {
  if (wanted !== 0 && !taken.has(wanted) && (await tryListen(wanted)) !== undefined) return wanted;
  // The system may give a port that was handed out but is not listened on yet: ask again.
  for (let attempt = 0; attempt <= taken.size; attempt++) {
    const port = await tryListen(0);
    if (port !== undefined && !taken.has(port)) return port;
  }
  throw new UnavailableError('no free port', { place: LOOPBACK });
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: LOOPBACK, port, exclusive: true }, () => {
      const address = server.address();
      const actual = typeof address === 'object' && address ? address.port : undefined;
      server.close(() => resolve(actual));
    });
  });
}
