import {
  DEFAULT_BACKOFF_MS,
  DEFAULT_DAILY_CAP,
  DEFAULT_QUERY_JITTER_MS,
  IMAGE_INTERVAL_MS,
  MIN_QUERY_INTERVAL_MS,
  siteProfileNames,
} from '@online-cnclip/crawl';
import { setting } from '@online-cnclip/foundation';
import { environmentName, serviceSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

export const NAME = 'crawler';
const environment = (name: string): string => environmentName(NAME, name);
const optionalText = z.string().min(1).optional();
const count = z.coerce.number().int().positive();
const milliseconds = z.coerce.number().int().nonnegative();
const yesOrNo = z.union([z.boolean(), z.stringbool()]);

/** A browser takes some 350 MB. */
const DEFAULT_MAX_SESSIONS = 4;

/** A search with its pictures takes seconds; whoever takes this long is stuck. */
const DEFAULT_LEASE_MS = 180_000;

/** For somebody to fetch a phone and scan a code. */
const DEFAULT_SESSION_WAIT_MS = 60_000;

/** A client can be kept waiting for so long; longer rests are told to it. */
const DEFAULT_MAX_DEFERRAL_MS = 300_000;

/** Before a query whose page did not load is tried again. */
const DEFAULT_RETRY_MS = 2_000;

/** Settings of the crawler: flag, environment variable or configuration file. */
export const crawlerSettings = {
  ...serviceSettings(NAME, { listen: 50_054, metrics: 9_467 }),
  dataFolder: setting(
    environment('DATA_FOLDER'),
    z.string().min(1).default('var/data').describe('folder of cache/ and sessions/'),
  ),
  siteProfile: setting(
    environment('SITE_PROFILE'),
    z
      .string()
      .min(1)
      .default('fixture-shop')
      .describe(`how the shop's pages are read: a YAML file, or one of ${siteProfileNames().join(', ')}`),
  ),
  siteOrigin: setting(
    environment('SITE_ORIGIN'),
    z.url().optional().describe("scheme, host and port instead of the profile's"),
  ),
  fixtureAddress: setting(
    environment('FIXTURE_ADDRESS'),
    optionalText.describe(
      'loopback host:port of a fixture shop, the one address that limits do not hold for',
    ),
  ),
  sealingKeyFile: setting(
    environment('SEALING_KEY_FILE'),
    optionalText.describe(
      '32 bytes or 64 hexadecimal digits that cookies are sealed with; none: kept in memory only',
    ),
  ),
  maxSessions: setting(
    environment('MAX_SESSIONS'),
    count.default(DEFAULT_MAX_SESSIONS).describe('sessions (browsers) at most'),
  ),
  queryIntervalMs: setting(
    environment('QUERY_INTERVAL_MS'),
    milliseconds
      .default(MIN_QUERY_INTERVAL_MS)
      .describe('time between two queries, of each session and of all together; no less but for a fixture'),
  ),
  queryJitterMs: setting(
    environment('QUERY_JITTER_MS'),
    milliseconds.default(DEFAULT_QUERY_JITTER_MS).describe('added to it at random, at most'),
  ),
  imageIntervalMs: setting(
    environment('IMAGE_INTERVAL_MS'),
    milliseconds.default(IMAGE_INTERVAL_MS).describe('time between two images of one host'),
  ),
  dailyCap: setting(
    environment('DAILY_CAP'),
    count.default(DEFAULT_DAILY_CAP).describe('queries of one session a day (UTC) at most'),
  ),
  backoffMs: setting(
    environment('BACKOFF_MS'),
    milliseconds
      .default(DEFAULT_BACKOFF_MS)
      .describe('rest when the site asks for it without saying how long'),
  ),
  retryMs: setting(
    environment('RETRY_MS'),
    milliseconds
      .default(DEFAULT_RETRY_MS)
      .describe('time before a query that failed is tried again; doubled each time'),
  ),
  maxDeferralMs: setting(
    environment('MAX_DEFERRAL_MS'),
    milliseconds
      .default(DEFAULT_MAX_DEFERRAL_MS)
      .describe('rest that a query waits for; for a longer one it is deferred'),
  ),
  sessionWaitMs: setting(
    environment('SESSION_WAIT_MS'),
    milliseconds
      .default(DEFAULT_SESSION_WAIT_MS)
      .describe('time that a query waits for a session to be logged in'),
  ),
  leaseMs: setting(
    environment('LEASE_MS'),
    count.default(DEFAULT_LEASE_MS).describe('time after which a query loses its session'),
  ),
  maxCacheBytes: setting(
    environment('MAX_CACHE_BYTES'),
    count.optional().describe('size of the cache at most; none: as much as the disk takes'),
  ),
  browserPath: setting(
    environment('BROWSER_PATH'),
    optionalText.describe("the browser's executable; none: chromium, Chrome, or that of the npm package"),
  ),
  stealth: setting(
    environment('STEALTH'),
    yesOrNo.default(true).describe('whether pages are kept from seeing that a program drives the browser'),
  ),
  browserSandbox: setting(
    environment('BROWSER_SANDBOX'),
    yesOrNo
      .optional()
      .describe("Chromium's own sandbox, which needs user namespaces; none: on, but not as root"),
  ),
  headless: setting(
    environment('HEADLESS'),
    yesOrNo.default(true).describe('false: with windows, in which a person can answer challenges'),
  ),
} as const;
