import { CancelledError } from '@online-cnclip/foundation';
import { EXIT } from './exit-codes.ts';

/**
 * One Ctrl-C comes several times: the terminal sends it to the whole group of processes, and npm and bin/cnclip.mjs pass on what
 * they got. Nobody presses it twice so fast.
 */
const ECHO_MS = 500;

type Signals = Pick<NodeJS.Process, 'on' | 'exit'>;

/** From now on the first SIGINT, SIGTERM or SIGHUP aborts the signal, a later one ends the process. */
export function listenForStop(process: Signals, now: () => number = Date.now): AbortSignal {
  const controller = new AbortController();
  let firstAt: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (firstAt === undefined) {
        firstAt = now();
        controller.abort(new CancelledError(`stopped by ${name}`));
      } else if (now() - firstAt > ECHO_MS) process.exit(EXIT.interrupted);
    });
  return controller.signal;
}
