import { rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncPath } from '@online-cnclip/foundation';
import { readSnapshot } from '../snapshot.ts';
import { writeItems } from './compact.ts';
import { createItemFile } from './exact-index.ts';
import { RowTable } from './row-table.ts';

/**
 * Turns a snapshot of an earlier version into an item file, and removes it once that is durable.
 *
 * @returns the items it held.
 * @throws DataLossError when it is damaged: it stays as it is then.
 */
export async function migrateSnapshot(snapshotPath: string, path: string): Promise<number> {
  let items = 0;
  // There when the process was killed between the two last steps.
  if (!(await stat(path).catch(() => undefined))) {
    const snapshot = await readSnapshot(snapshotPath);
    const { dimension, fingerprint, createTime } = snapshot.header;
    const description = {
      dimension,
      fingerprint: fingerprint ?? undefined,
      createTime: new Date(createTime),
    };
    const temporaryPath = join(dirname(path), `.${basename(path)}.migrate`);
    const file = await createItemFile(temporaryPath, description);
    try {
      const table = new RowTable(dimension);
      for await (const part of snapshot.parts()) await writeItems(file, table, part);
      items = table.size;
      await file.publish(path);
    } catch (error) {
      await rm(temporaryPath, { force: true });
      throw error;
    } finally {
      await file.release();
      await snapshot.close();
    }
  }
  await rm(snapshotPath);
  await syncPath(dirname(path));
  return items;
}
