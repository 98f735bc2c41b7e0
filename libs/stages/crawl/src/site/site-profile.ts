import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidInputError, messageOf, NotFoundError } from '@online-cnclip/foundation';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { selectorError } from './css-selector.ts';

/** The format that this program reads; a file of another one is refused. */
export const SITE_PROFILE_VERSION = 1;

const selector = z.string().superRefine((text, context) => {
  const reason = selectorError(text);
  if (reason !== undefined) context.addIssue(`${JSON.stringify(text)} is not a CSS selector: ${reason}`);
});
const milliseconds = z.int().positive();
/** Absolute, or relative to the profile's origin. */
const address = z.string().min(1);

const profileSchema = z.strictObject({
  version: z.literal(SITE_PROFILE_VERSION),
  name: z.string().regex(/^[a-z0-9-]+$/, 'small letters, digits and - only'),
  /** When the rest was last seen to be true: `as of 2022, unverified`. */
  verified: z.string().min(1),
  /** Scheme, host and port that relative addresses start from. */
  origin: z.url({ protocol: /^https?$/ }),
  /** What all sessions together are polite to; none: the origin's host. */
  domain: z.string().min(1).optional(),
  addresses: z.strictObject({
    home: address,
    logIn: address,
    /** Beginnings of addresses that mean: not logged in. Left once somebody has confirmed the QR code. */
    logInPages: z.array(address).min(1),
    /** Beginnings of addresses where the site asks for a person. */
    challengePages: z.array(address).default([]),
  }),
  selectors: z.strictObject({
    searchBox: selector,
    /** Is there on every page of results, even where it holds none. */
    resultList: selector,
    item: selector,
    /** Within an item. */
    image: selector,
    /** Of the image element, the picture's address; an item without it is skipped. */
    imageAttribute: z.string().min(1),
    /** An item that matches, or has a part that does, is an advertisement. */
    promoted: selector.optional(),
    noResults: selector,
    qrCode: selector,
    /** Clicked once where the log-in page shows something else at first. */
    qrSwitch: selector.optional(),
    qrScanned: selector.optional(),
    qrExpired: selector.optional(),
    /** Clicked for a new code; without it the log-in page is loaded again. */
    qrRefresh: selector.optional(),
    /** On any page: the site asks for a person. */
    challenge: selector.optional(),
    /** On the home page: somebody is logged in. Without it, the search box alone says so. */
    loggedIn: selector.optional(),
  }),
  waits: z.strictObject({
    navigationMs: milliseconds,
    /** For the list of results after the page has loaded. */
    resultsMs: milliseconds,
    qrLifetimeMs: milliseconds,
    qrRefreshes: z.int().nonnegative(),
    /** Between two looks at a page that is waited for. */
    pollMs: milliseconds,
    /** Between two keys: a person's, never the same twice. */
    keyDelayMs: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
    scrolls: z.int().nonnegative(),
    scrollPauseMs: milliseconds,
  }),
});

/** Where a site's things are, and how long to wait for them. Every address is absolute. */
export type SiteProfile = Readonly<z.output<typeof profileSchema>> & { readonly domain: string };

const PROFILE_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '../../profiles');
const EXTENSION = '.yaml';

/** Names of the profiles that come with the program. */
export function siteProfileNames(): string[] {
  return readdirSync(PROFILE_FOLDER)
    .filter((file) => file.endsWith(EXTENSION))
    .map((file) => file.slice(0, -EXTENSION.length))
    .sort();
}

/**
 * Reads the profile of that name, or the file of that path.
 *
 * @param overrides `origin` replaces the file's (a test server's port), `waits` single waits.
 * @throws NotFoundError when there is none, InvalidInputError naming the file, the setting and the value.
 */
export function loadSiteProfile(nameOrPath: string, overrides: ProfileOverrides = {}): SiteProfile {
  const isName = siteProfileNames().includes(nameOrPath);
  const path = isName ? join(PROFILE_FOLDER, nameOrPath + EXTENSION) : nameOrPath;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new NotFoundError(`is no site profile; known: ${siteProfileNames().join(', ')}`, {
      place: nameOrPath,
      cause,
    });
  }
  return parseSiteProfile(text, path, overrides);
}

export interface ProfileOverrides {
  readonly origin?: string | undefined;
  readonly waits?: Partial<SiteProfile['waits']>;
}

/** @param place what to call the text in errors. @throws InvalidInputError */
export function parseSiteProfile(text: string, place: string, overrides: ProfileOverrides = {}): SiteProfile {
  let raw: unknown;
  try {
    raw = parseYaml(text);
  } catch (cause) {
    throw new InvalidInputError(`is not YAML: ${messageOf(cause)}`, { place, cause });
  }
  const parsed = profileSchema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidInputError(issue?.message ?? 'is not a site profile', {
      place: `${place}: ${issue?.path.join('.') || 'site profile'}`,
    });
  }
  return resolveAddresses(parsed.data, overrides, place);
}

function resolveAddresses(
  file: z.output<typeof profileSchema>,
  { origin = file.origin, waits }: ProfileOverrides,
  place: string,
): SiteProfile {
  const absolute = (text: string): string => {
    try {
      return new URL(text, origin).href;
    } catch (cause) {
      throw new InvalidInputError(`${JSON.stringify(text)} is no address from ${JSON.stringify(origin)}`, {
        place,
        cause,
      });
    }
  };
  const { home, logIn, logInPages, challengePages } = file.addresses;
  return {
    ...file,
    origin: new URL(absolute('/')).origin,
    domain: file.domain ?? new URL(absolute('/')).host,
    addresses: {
      home: absolute(home),
      logIn: absolute(logIn),
      logInPages: logInPages.map(absolute),
      challengePages: challengePages.map(absolute),
    },
    waits: { ...file.waits, ...waits },
  };
}
