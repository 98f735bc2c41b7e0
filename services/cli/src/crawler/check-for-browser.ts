import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCrawlerClient } from '@online-cnclip/client';
import { FailedPreconditionError } from '@online-cnclip/foundation';
import type { CliContext } from '../context.ts';
import { withClient } from '../services.ts';

interface CheckOptions {
  readonly address?: string;
  readonly browserPath?: string;
}

/** @throws FailedPreconditionError, BrowserStartError saying what to install. */
export async function checkForBrowser(options: CheckOptions, context: CliContext): Promise<void> {
  const { address } = options;
  const signal = context.stopSignal();
  const { version, executablePath } =
    address === undefined
      ? await checkHere(options, context, signal)
      : await withClient(context, createCrawlerClient, address, async (crawler) => {
          const { installed, advice, ...found } = await crawler.checkBrowser({}, { signal });
          if (!installed) throw new FailedPreconditionError(advice);
          return found;
        });
  context.print(`${version}  ${executablePath}`);
  context.print('安装成功!');
}

async function checkHere({ browserPath }: CheckOptions, { environment }: CliContext, signal: AbortSignal) {
  // Puppeteer takes a second to load: only this command needs it.
  const { checkBrowser } = await import('@online-cnclip/crawl');
  const unpackFolder = join(tmpdir(), 'online-cnclip-browser');
  const { product, executablePath } = await checkBrowser({
    executablePath: browserPath,
    environment,
    unpackFolder,
    signal,
  });
  return { version: product, executablePath };
}
