import { join } from 'node:path';
import { ExactEngine } from '@online-cnclip/embedding-index';
import type { Logger } from '@online-cnclip/foundation';
import type { VectorEngine } from '@online-cnclip/retrieval';
import type { RankerConfig } from './settings.ts';

/** Folder of the embedded engines' indexes in the data folder. */
const INDEX_FOLDER = 'indexes';

export interface IndexEngineHooks {
  readonly logger: Logger;
  /** Called with the time that making changes durable took. */
  readonly onCommitted: (durationMs: number) => void;
}

/** Opens the engine that the settings name. */
export function openIndexEngine(
  config: RankerConfig,
  dataFolder: string,
  hooks: IndexEngineHooks,
): Promise<VectorEngine> {
  const folder = join(dataFolder, INDEX_FOLDER);
  return ExactEngine.open({
    folder,
    maxItems: config.maxIndexItems,
    ...(config.searchThreads !== undefined && { threads: config.searchThreads }),
    ...hooks,
  });
}
