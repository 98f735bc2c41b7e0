import { setTimeout as sleep } from 'node:timers/promises';
import { WatchRunRequest, type WatchRunResponse } from '@online-cnclip/contracts/trainer/v1';
import { UnavailableError } from '@online-cnclip/foundation';
import type { JobContext } from './context.ts';

/** Connections that may be lost during one run: on a busy machine a keepalive comes too late, and the run goes on. */
const MAX_LOSSES = 10;
const PAUSE_MS = 1_000;

/** What a run tells until it ends, whatever becomes of the connection meanwhile. Throws what WatchRun throws. */
export async function* watchRun(
  { clients, signal }: JobContext,
  name: string,
): AsyncGenerator<WatchRunResponse, void, undefined> {
  const request = WatchRunRequest.fromPartial({ name });
  for (let losses = 0; ; losses++)
    try {
      return yield* clients.trainer.watchRun(request, { signal });
    } catch (error) {
      if (signal.aborted || !(error instanceof UnavailableError) || losses === MAX_LOSSES) throw error;
      await sleep(PAUSE_MS, undefined, { signal });
    }
}
