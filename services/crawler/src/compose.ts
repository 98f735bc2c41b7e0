import { join } from 'node:path';
import { CrawlerServiceService } from '@online-cnclip/contracts/crawler/v1';
import {
  BrowserNotFoundError,
  BrowserStartError,
  checkBrowser,
  type FindBrowserOptions,
  findBrowser,
  loadSealer,
  loadSiteProfile,
  openCrawler,
  openSiteBrowser,
  parseExemptAddress,
  type SiteProfile,
} from '@online-cnclip/crawl';
import { type ConfigOf, DataFolder } from '@online-cnclip/foundation';
import { type Composition, type CompositionContext, implement } from '@online-cnclip/service-kit';
import { type BrowserAnswer, createHandlers } from './handlers.ts';
import type { crawlerSettings } from './settings.ts';
import { observeAnswers, observeQueries, observeSessions } from './telemetry.ts';

export type CrawlerConfig = ConfigOf<typeof crawlerSettings>;

/** Wires the service. It is serving once a browser has been started; without one it answers what to install. */
export async function composeCrawler(
  context: CompositionContext<CrawlerConfig>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Composition> {
  const { config, logger, telemetry, health, shutdown } = context;
  const { fixtureAddress, sealingKeyFile, maxCacheBytes } = config;
  DataFolder.make(config.dataFolder, 'data-folder');
  const profile = loadSiteProfile(config.siteProfile, { origin: config.siteOrigin });
  const find: FindBrowserOptions = {
    executablePath: config.browserPath,
    environment,
    unpackFolder: join(config.dataFolder, 'browser'),
  };
  logger.info({ profile: profile.name, verified: profile.verified, site: profile.origin }, 'site');
  const crawler = await openCrawler({
    dataFolder: config.dataFolder,
    siteUrl: new URL(profile.origin),
    manners: config,
    exempt: fixtureAddress === undefined ? undefined : parseExemptAddress(fixtureAddress),
    sealer: sealingKeyFile === undefined ? undefined : await loadSealer(sealingKeyFile),
    openBrowser: browserOpener(profile, find, config),
    maxSessions: config.maxSessions,
    leaseMs: config.leaseMs,
    sessionWaitMs: config.sessionWaitMs,
    maxDeferralMs: config.maxDeferralMs,
    retryMs: config.retryMs,
    ...(maxCacheBytes !== undefined && { maxCacheBytes }),
    ...observeQueries(telemetry),
    logger,
  });
  observeSessions(telemetry, crawler.sessions, () => crawler.crawl.inFlight);
  const check = async (signal: AbortSignal): Promise<BrowserAnswer> => {
    const answer = await askForBrowser(find, signal);
    health.setServing(answer.installed);
    return answer;
  };
  return {
    implementations: [
      implement(
        CrawlerServiceService,
        createHandlers({
          crawler,
          dailyCap: config.dailyCap,
          checkBrowser: check,
          onAnswer: observeAnswers(telemetry),
        }),
      ),
    ],
    async start() {
      const answer = await check(shutdown);
      if (answer.installed) logger.info({ version: answer.version }, 'browser');
      else logger.error({ advice: answer.advice }, 'no browser');
    },
    close: () => crawler.close(),
  };
}

function browserOpener(
  profile: SiteProfile,
  find: FindBrowserOptions,
  { stealth, headless, browserSandbox }: CrawlerConfig,
) {
  return async (userDataDir: string, signal: AbortSignal) =>
    openSiteBrowser({
      profile,
      found: await findBrowser(find),
      userDataDir,
      stealth,
      headless,
      sandbox: browserSandbox,
      signal,
    });
}

async function askForBrowser(find: FindBrowserOptions, signal: AbortSignal): Promise<BrowserAnswer> {
  try {
    const { product, executablePath } = await checkBrowser({ ...find, signal });
    return { installed: true, version: product, executablePath };
  } catch (error) {
    if (error instanceof BrowserNotFoundError || error instanceof BrowserStartError)
      return { installed: false, advice: error.message };
    throw error;
  }
}
