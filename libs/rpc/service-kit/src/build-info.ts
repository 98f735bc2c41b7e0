import manifest from '../package.json' with { type: 'json' };

/** What runs. All packages have one version. */
export const buildInfo = { version: manifest.version, node: process.version } as const;
