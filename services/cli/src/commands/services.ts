import { type ClientOptions, createServiceClient } from '@online-cnclip/client';
import { UnavailableError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { HEALTH_DEFINITION } from '../health.ts';
import { addressOption, reasonOf, SERVICE_ADDRESSES, type ServiceName } from '../services.ts';

const NAMES = Object.keys(SERVICE_ADDRESSES) as ServiceName[];
type Addresses = Readonly<Partial<Record<ServiceName, string>>>;

/** A service that computes on all cores may take its time to answer. */
const TIMEOUT_MS = 5_000;

export function configure(command: Command, context: CliContext): void {
  const status = command
    .command('status')
    .description('Asks each service whether it serves; status 1 unless all do.');
  // Not everybody crawls: the crawler is asked when it is named.
  for (const name of NAMES)
    if (name === 'crawler') status.option('--crawler <host:port>', 'where the crawler listens [not asked]');
    else addressOption(status, name, name);
  status.action((addresses: Addresses) => showStatus(addresses, context));
}

async function showStatus(addresses: Addresses, context: CliContext): Promise<void> {
  const { credentials } = await context.clientSecurity();
  const asked = NAMES.map((name) => ({ name, address: addresses[name] ?? '' })).filter(
    ({ address }) => address !== '',
  );
  const states = await Promise.all(asked.map(({ address }) => healthOf(address, credentials)));
  for (const [i, { name, address }] of asked.entries())
    context.print(`${name.padEnd(8)} ${address}  ${states[i]}`);
  const down = asked.filter((_, i) => states[i] !== 'SERVING').map(({ name }) => name);
  if (down.length > 0) throw new UnavailableError('not serving', { place: down.join(', ') });
}

async function healthOf(address: string, credentials: ClientOptions['credentials']): Promise<string> {
  const client = createServiceClient(HEALTH_DEFINITION, address, { timeoutMs: TIMEOUT_MS, credentials });
  try {
    return await client.check(undefined);
  } catch (error) {
    return `unreachable: ${reasonOf(error)}`;
  } finally {
    client.close();
  }
}
