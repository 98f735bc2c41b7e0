import { missingGloo } from './gloo/addon.ts';

/**
 * Why tests of several replicas are skipped here, for node:test's `skip`; false where they run.
 *
 * @throws where libgloo is missing under CI, which has to have it.
 */
export function skipWithoutGloo(): string | false {
  const reason = missingGloo();
  if (reason !== undefined && process.env['CI'] === 'true') throw new Error(`CI tests replicas: ${reason}`);
  return reason ?? false;
}
