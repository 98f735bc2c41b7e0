import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '@online-cnclip/foundation';
import { BrowserStartError } from './errors.ts';

/** The browser inside the npm package, unpacked: its executable, and what its process needs in the environment. */
export interface NpmChromium {
  readonly executablePath: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes the package unpack its shared libraries as well, which a bare Debian lacks. Any of its 22.x names does. */
const LAMBDA_RUNTIME = 'AWS_Lambda_nodejs22.x';
const UNPACK_TIMEOUT_MS = 120_000;
const UNPACK_SCRIPT = `
  const { default: chromium } = await import(process.argv[1]);
  await chromium.executablePath();`;

const manifest = createRequire(import.meta.url);

/** Whether the package is there: `npm ci --omit` or another platform may have left it out. */
export function npmChromiumVersion(): string | undefined {
  try {
    const entry = new URL('../package.json', import.meta.resolve('@sparticuz/chromium'));
    return (manifest(entry.pathname) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/**
 * Unpacks it below the folder (210 MB, 2-5 s) unless it is there already. Several processes may do so at once:
 * each unpacks beside the others and the first one's rename wins.
 *
 * @throws BrowserStartError
 */
export async function unpackNpmChromium(folder: string, version: string): Promise<NpmChromium> {
  const unpacked = join(folder, `chromium-${version}`);
  if (!existsSync(unpacked)) await unpackInto(folder, unpacked);
  return {
    executablePath: join(unpacked, 'chromium'),
    environment: {
      LD_LIBRARY_PATH: join(unpacked, 'al2023/lib'),
      FONTCONFIG_PATH: unpacked,
    },
  };
}

async function unpackInto(folder: string, unpacked: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const temporary = await mkdtemp(join(folder, '.chromium-'));
  try {
    // In a process of its own: on import the package changes the environment of whoever imports it, and it unpacks to TMPDIR.
    const entry = import.meta.resolve('@sparticuz/chromium');
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', UNPACK_SCRIPT, entry], {
      env: { TMPDIR: temporary, AWS_EXECUTION_ENV: LAMBDA_RUNTIME },
      timeout: UNPACK_TIMEOUT_MS,
    });
    await writeFile(join(temporary, 'fonts.conf'), fontConfiguration(unpacked));
    await rename(temporary, unpacked).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } catch (cause) {
    throw new BrowserStartError(`cannot unpack the browser: ${messageOf(cause)}`, { place: folder, cause });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** The package's own configuration knows its fonts below /tmp only. */
const fontConfiguration = (folder: string): string => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${folder}/font-cache</cachedir>
</fontconfig>
`;
