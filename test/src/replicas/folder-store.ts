import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { RendezvousStore } from '@online-cnclip/collectives';

const POLL_MS = 5;

/** Where replicas on one machine find each other: a file per key. */
export function folderStore(folder: string): RendezvousStore {
  const pathOf = (key: string) => join(folder, encodeURIComponent(key));
  return {
    async set(key, value) {
      const temporary = `${pathOf(key)}.${process.pid}.tmp`;
      await writeFile(temporary, value);
      await rename(temporary, pathOf(key));
    },
    async get(key) {
      for (;;) {
        const value = await readFile(pathOf(key)).catch(() => undefined);
        if (value !== undefined) return new Uint8Array(value);
        await setTimeout(POLL_MS);
      }
    },
  };
}
