import { mkdir } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, messageOf, writeFileAtomically } from '@online-cnclip/foundation';

/** Long enough to see a load, short enough that nobody forgets it: profiling slows the process down. */
export const PROFILE_MS = 10_000;

/** Where profiles go unless it is configured otherwise. */
export const DEFAULT_PROFILE_FOLDER = join(tmpdir(), 'online-cnclip-profiles');

export interface ProfileOptions {
  /** `encoder`: the file's name begins with it. */
  readonly name: string;
  readonly folder: string;
  readonly logger: Logger;
  /** Ends a profile early; what there is of it is written. */
  readonly signal: AbortSignal;
  readonly durationMs?: number;
}

/**
 * Writes a CPU profile of the next {@link PROFILE_MS} at each SIGUSR2, `NAME-TIME-PID.cpuprofile`, which DevTools opens. One
 * at a time: a signal that comes meanwhile is not obeyed. What goes wrong is logged and harms nothing else.
 *
 * @returns resolves when none is being taken: to be waited for once the signal has aborted.
 */
export function profileOnSignal(options: ProfileOptions): () => Promise<void> {
  const { logger } = options;
  let taking: Promise<void> | undefined;
  process.on('SIGUSR2', () => {
    if (taking) {
      logger.warn('a CPU profile is being taken already');
      return;
    }
    taking = takeProfile(options)
      .then((path) => logger.info({ path }, 'CPU profile written'))
      .catch((error: unknown) => logger.error({ reason: messageOf(error) }, 'no CPU profile could be taken'))
      .finally(() => {
        taking = undefined;
      });
  });
  return async () => taking;
}

async function takeProfile({
  name,
  folder,
  logger,
  signal,
  durationMs = PROFILE_MS,
}: ProfileOptions): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const path = join(folder, `${name}-${time}-${process.pid}.cpuprofile`);
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    logger.info({ durationMs }, 'CPU profile begun');
    await sleep(durationMs, undefined, { signal, ref: false }).catch(() => undefined);
    const { profile } = await session.post('Profiler.stop');
    await mkdir(folder, { recursive: true });
    await writeFileAtomically(path, JSON.stringify(profile));
  } finally {
    session.disconnect();
  }
  return path;
}
