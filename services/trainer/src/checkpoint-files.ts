import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectCheckpoint } from '@online-cnclip/checkpoint';
import type { Logger } from '@online-cnclip/foundation';
import type { CheckpointFile } from './run-message.ts';

/** The checkpoints in a run's folder, by what their headers say; the latest first. */
export async function listCheckpoints(runFolder: string, logger: Logger): Promise<CheckpointFile[]> {
  const folder = join(runFolder, 'checkpoints');
  const files: CheckpointFile[] = [];
  for (const name of await checkpointNames(folder)) {
    const path = join(folder, name);
    try {
      const { epoch = 0, step = 0, bytes } = await inspectCheckpoint(path);
      files.push({ path, epoch, step, bytes, savedAt: (await stat(path)).mtimeMs });
    } catch (error) {
      // Deleted meanwhile, or not ours: the others are still to be told.
      logger.warn({ err: error, path }, 'a checkpoint cannot be read; it is left out');
    }
  }
  return files.sort((a, b) => b.step - a.step || b.savedAt - a.savedAt);
}

async function checkpointNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.pt') && !name.startsWith('.')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
