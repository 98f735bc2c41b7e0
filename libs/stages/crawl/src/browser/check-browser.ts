import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLauncher } from './evasions.ts';
import { type FindBrowserOptions, type FoundBrowser, findBrowser } from './find-browser.ts';
import { identityOf } from './identity.ts';
import { launchBrowser } from './launch.ts';

export interface CheckedBrowser extends FoundBrowser {
  /** As the running browser says it: `Chrome/156.0.8078.79`. */
  readonly product: string;
}

/**
 * Finds a browser, starts it with an empty folder, and ends it.
 *
 * @throws BrowserNotFoundError, BrowserStartError: their text says what to do.
 */
export async function checkBrowser(
  options: FindBrowserOptions & { readonly signal: AbortSignal },
): Promise<CheckedBrowser> {
  const found = await findBrowser(options);
  const identity = identityOf(found);
  const userDataDir = await mkdtemp(join(tmpdir(), 'browser-check-'));
  try {
    const running = await launchBrowser(createLauncher(false, identity.languages), {
      ...{ found, identity, userDataDir },
      headless: true,
      signal: options.signal,
    });
    try {
      return { ...found, product: await running.browser.version() };
    } finally {
      await running.close();
    }
  } finally {
    await rm(userDataDir, { recursive: true, force: true });
  }
}
