import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../../..', import.meta.url));

/** The Python packages of the vendor's test server, which speaks Milvus's protocol; its own dependencies come with them. */
export const MILVUS_PACKAGES = ['milvus-lite==3.2.0', 'pymilvus==3.0.2'] as const;

/** Where `npm run test:milvus` keeps them; the stamp is written last. */
export function milvusEnvironment(): {
  readonly folder: string;
  readonly python: string;
  readonly stamp: string;
} {
  const folder = join(root, 'var/milvus/environment');
  return {
    folder,
    python: join(folder, 'bin/python'),
    stamp: join(folder, `.complete-${MILVUS_PACKAGES.join('-')}`),
  };
}

/** Why tests against a Milvus server are skipped here, for node:test's `skip`; false where they run. */
export function skipWithoutMilvus(): string | false {
  return existsSync(milvusEnvironment().stamp)
    ? false
    : 'no Milvus server here: `npm run test:milvus` sets one up';
}
