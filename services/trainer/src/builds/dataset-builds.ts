import { buildInProcess } from './build-in-process.ts';
import type { BuildReport, BuildRequest } from './build-messages.ts';

export type { BuildRequest } from './build-messages.ts';

export type BuildUpdate = Extract<BuildReport, { kind: 'progress' | 'split' }>;

/**
 * Builds a data set and tells of it. A reader that falls behind gets the latest progress only, and every split.
 *
 * @throws as buildDataset does; leaving the loop early cancels the build and waits for its end.
 */
export async function* buildDatasetUpdates(
  request: BuildRequest,
  signal: AbortSignal,
): AsyncGenerator<BuildUpdate, void, undefined> {
  const left = new AbortController();
  const pending: BuildUpdate[] = [];
  let changed = Promise.withResolvers<void>();
  let ended = false;
  const push = (update: BuildUpdate) => {
    if (pending.at(-1)?.kind === 'progress') pending.pop();
    pending.push(update);
    changed.resolve();
  };
  const building = buildInProcess(request, {
    signal: AbortSignal.any([signal, left.signal]),
    onReport: push,
  }).finally(() => {
    ended = true;
    changed.resolve();
  });
  // Awaited below; until then a failure must not count as unhandled.
  building.catch(() => {});
  try {
    while (true) {
      const update = pending.shift();
      if (update) yield update;
      else if (ended) break;
      else {
        changed = Promise.withResolvers<void>();
        await changed.promise;
      }
    }
    await building;
  } finally {
    left.abort();
    await building.catch(() => {});
  }
}
