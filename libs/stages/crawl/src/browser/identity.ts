import type { FoundBrowser } from './find-browser.ts';

/** What a browser says of itself, the same in headers, pages and workers. */
export interface Identity {
  readonly userAgent: string;
  readonly languages: readonly string[];
  readonly metadata: UserAgentMetadata;
}

/** User agent client hints as the DevTools protocol wants them (Emulation.UserAgentMetadata). */
export interface UserAgentMetadata {
  readonly brands: { readonly brand: string; readonly version: string }[];
  readonly fullVersionList: { readonly brand: string; readonly version: string }[];
  readonly fullVersion: string;
  readonly platform: string;
  readonly platformVersion: string;
  readonly architecture: string;
  readonly bitness: string;
  readonly model: string;
  readonly mobile: boolean;
}

const LANGUAGES = ['zh-CN', 'zh'] as const;
/** Chromium's made-up brand, there to keep sites from taking the list for granted. */
const GREASE = { brand: 'Not)A;Brand', version: '24' } as const;

/**
 * That of the same browser with a window: the real version on the real system (a Linux that claims Windows
 * contradicts itself in fonts and graphics), in the reduced form that Chromium sends.
 */
export function identityOf({ version }: FoundBrowser, architecture: string = process.arch): Identity {
  const [major = ''] = version.split('.');
  const arm = architecture === 'arm64';
  const own = ['Chromium', 'Google Chrome'];
  return {
    userAgent:
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) ' +
      `Chrome/${major}.0.0.0 Safari/537.36`,
    languages: LANGUAGES,
    metadata: {
      brands: [GREASE, ...own.map((brand) => ({ brand, version: major }))],
      fullVersionList: [
        { brand: GREASE.brand, version: `${GREASE.version}.0.0.0` },
        ...own.map((brand) => ({ brand, version })),
      ],
      fullVersion: version,
      platform: 'Linux',
      platformVersion: '',
      architecture: arm ? 'arm' : 'x86',
      bitness: '64',
      model: '',
      mobile: false,
    },
  };
}
