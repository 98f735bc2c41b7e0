import { createServiceClient } from '@online-cnclip/client';
import { UnavailableError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { HEALTH_DEFINITION } from '../health.ts';
import { addressOption, reasonOf, SERVICE_ADDRESSES, type ServiceName } from '../services.ts';

const NAMES = Object.keys(SERVICE_ADDRESSES) as ServiceName[];
type Addresses = Readonly<Record<ServiceName, string>>;

/** A service that computes on all cores may take its time to answer. */
const TIMEOUT_MS = 5_000;

export function configure(command: Command, context: CliContext): void {
  const status = command
    .command('status')
    .description('Asks each service whether it serves; status 1 unless all do.');
  for (const name of NAMES) addressOption(status, name, name);
  status.action((addresses: Addresses) => showStatus(addresses, context));
}

async function showStatus(addresses: Addresses, { print }: CliContext): Promise<void> {
  const states = await Promise.all(NAMES.map((name) => healthOf(addresses[name])));
  for (const [i, name] of NAMES.entries()) print(`${name.padEnd(8)} ${addresses[name]}  ${states[i]}`);
  const down = NAMES.filter((_, i) => states[i] !== 'SERVING');
  if (down.length > 0) throw new UnavailableError('not serving', { place: down.join(', ') });
}

async function healthOf(address: string): Promise<string> {
  const client = createServiceClient(HEALTH_DEFINITION, address, { timeoutMs: TIMEOUT_MS });
  try {
    return await client.check(undefined);
  } catch (error) {
    return `unreachable: ${reasonOf(error)}`;
  } finally {
    client.close();
  }
}
