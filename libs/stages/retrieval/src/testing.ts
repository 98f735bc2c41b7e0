import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { ExactEngine } from '@online-cnclip/embedding-index';

/** The embedded engine in a folder of its own, which goes when the file's tests have ended. */
export async function openTestEngine(options: { readonly maxItems?: number } = {}): Promise<ExactEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'retrieval-'));
  const engine = await ExactEngine.open({ folder, threads: 1, ...options });
  after(async () => {
    await engine.close();
    await rm(folder, { recursive: true });
  });
  return engine;
}
