import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '@online-cnclip/foundation';
import { BrowserNotFoundError, BrowserStartError } from './errors.ts';
import { npmChromiumVersion, unpackNpmChromium } from './npm-chromium.ts';

export type BrowserSource = 'configured' | 'chromium' | 'chrome' | 'npm';

/** A browser's executable that runs on this machine. */
export interface FoundBrowser {
  readonly executablePath: string;
  readonly source: BrowserSource;
  /** `156.0.8078.79`. */
  readonly version: string;
  /** What its process gets beside the basics; it is given nothing else of this process' environment. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface FindBrowserOptions {
  /** The one to take, and no other. */
  readonly executablePath?: string | undefined;
  /** The environment variables, which only a main.ts reads: PATH is searched, and the basics go on to the browser. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder for the browser of the npm package, should it be needed. */
  readonly unpackFolder: string;
  /** Where to look, in this order. */
  readonly sources?: readonly Exclude<BrowserSource, 'configured'>[];
}

const NAMES = {
  chromium: ['chromium', 'chromium-browser'],
  chrome: ['google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge-stable'],
} as const;
/** Places beside PATH, which a service manager may have cut short. */
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/google/chrome', '/snap/bin'];
/** What a browser needs to find its home, temporary files, locale, time zone and screen. No secret of ours. */
const BASICS = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'DISPLAY', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR'];
/** A cold disk's first start. */
const VERSION_TIMEOUT_MS = 20_000;
const ADVICE =
  'install one (Debian: apt-get install chromium), name its executable in the configuration, ' +
  'or let npm ci install @sparticuz/chromium';

/**
 * Looks for a browser: the configured path, Debian's chromium, an installed Chrome, the one inside the npm package.
 *
 * @throws BrowserNotFoundError when there is none, BrowserStartError when it does not run; both say what to do.
 */
export async function findBrowser(options: FindBrowserOptions): Promise<FoundBrowser> {
  const { executablePath, environment, sources = ['chromium', 'chrome', 'npm'] } = options;
  const basics = basicsOf(environment);
  if (executablePath !== undefined) {
    if (!isExecutable(executablePath))
      throw new BrowserNotFoundError('is no executable file', { place: executablePath });
    return describe(executablePath, 'configured', basics);
  }
  for (const source of sources) {
    const found = source === 'npm' ? undefined : searchPath(NAMES[source], environment['PATH']);
    if (found !== undefined) return describe(found, source, basics);
    if (source !== 'npm') continue;
    const packaged = npmChromiumVersion();
    if (packaged === undefined) continue;
    const npm = await unpackNpmChromium(options.unpackFolder, packaged);
    return describe(npm.executablePath, source, { ...basics, ...npm.environment });
  }
  throw new BrowserNotFoundError(`no browser on this machine: ${ADVICE}`);
}

function basicsOf(environment: FindBrowserOptions['environment']): Record<string, string> {
  const basics: Record<string, string> = {};
  for (const name of BASICS) {
    const value = environment[name];
    if (value !== undefined) basics[name] = value;
  }
  return basics;
}

function searchPath(names: readonly string[], path = ''): string | undefined {
  const folders = [...path.split(delimiter).filter(isAbsolute), ...FOLDERS];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function describe(
  executablePath: string,
  source: BrowserSource,
  environment: Record<string, string>,
): Promise<FoundBrowser> {
  let said: string;
  try {
    const { stdout } = await promisify(execFile)(executablePath, ['--version'], {
      env: environment,
      timeout: VERSION_TIMEOUT_MS,
    });
    said = stdout;
  } catch (cause) {
    throw new BrowserStartError(`does not run: ${messageOf(cause)}; ${ADVICE}`, {
      place: executablePath,
      cause,
    });
  }
  const version = /\d+(\.\d+){3}/.exec(said)?.[0];
  if (version === undefined)
    throw new BrowserStartError(`is no Chromium: it says ${JSON.stringify(said.trim())}`, {
      place: executablePath,
    });
  return { executablePath, source, version, environment };
}
