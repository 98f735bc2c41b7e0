import { ROLES, type Role } from '@online-cnclip/security';
import {
  DEFAULT_DAYS,
  hasAuthority,
  initCertificates,
  issueCertificate,
  renewCertificates,
  revokeCertificate,
} from '@online-cnclip/security/certificates';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CliContext } from '../context.ts';

/** Certificates are looked at by people: nobody renews what is valid for longer than this. */
const MAX_DAYS = 825;

interface ValidityOptions {
  readonly days: number;
}
interface InitOptions extends ValidityOptions {
  readonly host: readonly string[];
  readonly force?: true;
  readonly keep?: true;
}
interface IssueOptions extends ValidityOptions {
  readonly role: Role;
  readonly host: readonly string[];
}

export function configure(command: Command, { print }: CliContext): void {
  withDays(command.command('init').argument('<dir>', 'folder of the authority and of its certificates'))
    .description('Makes an authority, and a certificate for each service and each kind of caller.')
    .option('--host <name>', 'one more name or address of the services; may be repeated', collect, [])
    .option('--force', 'replace the authority that is there: what it signed is refused from then on')
    .option('--keep', 'do nothing when there is an authority: for a start that makes what is missing')
    .action(async (dir: string, { days, host, force, keep }: InitOptions) => {
      if (keep && hasAuthority(dir)) return print(`${dir}: kept as it is`);
      const names = await initCertificates(dir, { days, hosts: host, force: force ?? false });
      for (const name of names) print(`${dir}/${name}`);
    });
  withDays(command.command('issue').argument('<dir>').argument('<name>', 'of the service or person'))
    .description('Makes one more certificate: for a person, say, so that the audit log tells people apart.')
    .addOption(new Option('--role <role>', 'what its holder may do').choices(ROLES).makeOptionMandatory())
    .option('--host <name>', 'a name or address that it serves under; may be repeated', collect, [])
    .action(async (dir: string, name: string, { days, role, host }: IssueOptions) => {
      await issueCertificate(dir, { name, role, hosts: host }, days);
      print(`${dir}/${name}`);
    });
  withDays(command.command('renew').argument('<dir>'))
    .description(
      'Makes new keys and certificates of the same names. Running services take them by themselves.',
    )
    .action(async (dir: string, { days }: ValidityOptions) => {
      for (const name of await renewCertificates(dir, days)) print(`${dir}/${name}`);
    });
  withDays(command.command('revoke').argument('<dir>').argument('<name>'))
    .description('Puts a certificate on the revocation list. Running services take it by themselves.')
    .action(async (dir: string, name: string, { days }: ValidityOptions) => {
      print(`${name}: ${await revokeCertificate(dir, name, days)} is revoked`);
    });
}

const withDays = (command: Command): Command =>
  command.option('--days <n>', 'days that what is signed is valid for', wholeDays, DEFAULT_DAYS);

function wholeDays(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days > 0 && days <= MAX_DAYS) return days;
  throw new InvalidArgumentError(`It has to be a whole number from 1 to ${MAX_DAYS}.`);
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];
