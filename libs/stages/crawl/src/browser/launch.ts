import type { ChildProcess } from 'node:child_process';
import { chmod, mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, throwIfAborted } from '@online-cnclip/foundation';
import type { Browser } from 'puppeteer-core';
import { BrowserStartError } from './errors.ts';
import type { Launcher } from './evasions.ts';
import type { FoundBrowser } from './find-browser.ts';
import type { Identity } from './identity.ts';
import { clearStaleLock, lockProfile } from './profile-lock.ts';
import type { BrowserEnd } from './site-browser.ts';

export interface BrowserLaunch {
  readonly found: FoundBrowser;
  readonly identity: Identity;
  readonly userDataDir: string;
  readonly headless: boolean;
  /** None: where the process may have one. */
  readonly sandbox?: boolean | undefined;
  /** Hosts that the browser can reach; none: all. */
  readonly onlyHost?: string | undefined;
  readonly signal: AbortSignal;
}

/** A browser's process with a connection to it. */
export interface RunningBrowser {
  readonly browser: Browser;
  readonly processId: number;
  readonly closed: Promise<BrowserEnd>;
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;
/** For a browser to write its cookies and end; after that it is killed. */
const CLOSE_TIMEOUT_MS = 5_000;
/** For its helpers once it has ended; those that wait to be reaped count, and not every container has a reaper. */
const HELPERS_END_MS = 1_000;
const HELPERS_POLL_MS = 20;
/** Above every wait of a profile: an answer that takes longer than this never comes. */
const PROTOCOL_TIMEOUT_MS = 60_000;
/** Features that call home or look for devices on the network. */
const DISABLED_FEATURES = [
  'AutofillServerCommunication',
  'CertificateTransparencyComponentUpdater',
  'DialMediaRouteProvider',
  'InterestFeedContentSuggestions',
  'MediaRouter',
  'OptimizationHints',
  'Translate',
];

/**
 * Starts a browser that talks through a pipe: no port is open, and when this process is gone, however it went,
 * the pipe breaks and the browser ends by itself.
 *
 * @throws BrowserStartError, FailedPreconditionError when the userDataDir is in use.
 */
export async function launchBrowser(launcher: Launcher, options: BrowserLaunch): Promise<RunningBrowser> {
  const { found, userDataDir, signal } = options;
  throwIfAborted(signal);
  // The folder holds log-ins: nobody else is to read it.
  await mkdir(userDataDir, { recursive: true, mode: 0o700 });
  await chmod(userDataDir, 0o700);
  await clearStaleLock(userDataDir, signal);
  let browser: Browser;
  try {
    browser = await launcher.launch({
      executablePath: found.executablePath,
      env: { ...found.environment },
      userDataDir,
      // The package's browser is the old headless shell and knows no other mode.
      headless: options.headless && found.source === 'npm' ? 'shell' : options.headless,
      pipe: true,
      args: argumentsOf(options),
      defaultViewport: null,
      timeout: START_TIMEOUT_MS,
      protocolTimeout: PROTOCOL_TIMEOUT_MS,
      // Ending is this service's to order, and its signals are handled elsewhere.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
  } catch (cause) {
    throw new BrowserStartError(`does not start: ${messageOf(cause)}`, {
      place: found.executablePath,
      cause,
    });
  }
  const running = watch(browser);
  try {
    await lockProfile(userDataDir, running.processId);
    throwIfAborted(signal);
    return running;
  } catch (error) {
    await running.close();
    throw error;
  }
}

function argumentsOf({ found, identity, sandbox, onlyHost }: BrowserLaunch): string[] {
  // Chromium refuses to run as root with its sandbox, and the npm package's has no helper to set one up.
  const sandboxed = sandbox ?? (process.getuid?.() !== 0 && found.source !== 'npm');
  return [
    `--user-agent=${identity.userAgent}`,
    `--lang=${identity.languages[0]}`,
    `--accept-lang=${identity.languages.join(',')}`,
    '--window-size=1366,768',
    '--disable-component-update',
    '--disable-background-networking',
    '--disable-domain-reliability',
    '--no-default-browser-check',
    '--no-pings',
    `--disable-features=${DISABLED_FEATURES.join(',')}`,
    ...(sandboxed ? [] : ['--no-sandbox']),
    ...(found.source === 'npm' ? ['--no-zygote'] : []),
    ...(onlyHost === undefined ? [] : [`--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${onlyHost}`]),
  ];
}

function watch(browser: Browser): RunningBrowser {
  const child = browser.process() as ChildProcess & { pid: number };
  let wanted = false;
  const ended = new Promise<string>((resolve) => {
    const tell = (code: number | null, signalName: NodeJS.Signals | null): void =>
      resolve(signalName ?? `status ${code}`);
    if (child.exitCode !== null || child.signalCode !== null) tell(child.exitCode, child.signalCode);
    else child.once('exit', tell);
  });
  const closed = ended.then(async (how): Promise<BrowserEnd> => {
    await endHelpers(child.pid);
    return { wanted, how };
  });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    wanted = true;
    const timer = setTimeout(() => killGroup(child.pid), CLOSE_TIMEOUT_MS);
    // Whether it answers or not is of no matter: its end is waited for, and forced.
    browser.close().catch(() => undefined);
    await closed;
    clearTimeout(timer);
  };
  return {
    browser,
    processId: child.pid,
    closed,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** They outlive the browser by moments in which they still write to its folder. */
async function endHelpers(pid: number): Promise<void> {
  const deadline = Date.now() + HELPERS_END_MS;
  while (killGroup(pid) && Date.now() < deadline) await sleep(HELPERS_POLL_MS);
}

/** Its helpers are in the same process group, of which it is the leader. @returns false when none is left. */
function killGroup(pid: number): boolean {
  try {
    return process.kill(-pid, 'SIGKILL');
  } catch {
    return false;
  }
}
