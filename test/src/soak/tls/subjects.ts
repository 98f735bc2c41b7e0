import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Role, TlsFiles } from '@online-cnclip/security';
import type { ServiceName, ServiceProcess } from '../children.ts';
import { makeFolder } from '../run-soak.ts';
import type { Bounds, SoakContext } from '../soak.ts';
import { type Forgeries, filesIn } from './certificates.ts';

/** A method of each service with a role that may call it and one that may not. */
interface Sample {
  readonly path: string;
  readonly may: Role;
  readonly mayNot: Role;
}

/** The console speaks to browsers, which have no certificate: of it the metrics are tried. */
export const SAMPLES = {
  ranker: { path: '/onlinecnclip.ranker.v1.RankerService/ListIndexes', may: 'client', mayNot: 'trainer' },
  encoder: { path: '/onlinecnclip.encoder.v1.EncoderService/GetModel', may: 'client', mayNot: 'scraper' },
  trainer: { path: '/onlinecnclip.trainer.v1.TrainerService/ListRuns', may: 'operator', mayNot: 'client' },
  crawler: {
    path: '/onlinecnclip.crawler.v1.CrawlerService/ListSessions',
    may: 'operator',
    mayNot: 'client',
  },
  console: undefined,
} as const satisfies Partial<Record<ServiceName, Sample | undefined>>;

export type SubjectName = keyof typeof SAMPLES;
export const SUBJECTS = Object.keys(SAMPLES) as SubjectName[];

/** Lines come when the service comes to it; on a busy machine that is not at once. */
const LOG_TIMEOUT_MS = 60_000;

/** A service with certificates, and its log. */
export interface Subject {
  readonly name: SubjectName;
  readonly sample: Sample | undefined;
  readonly address: string;
  readonly metrics: string;
  readonly files: TlsFiles;
  readonly process: ServiceProcess;
  /** Lines so far: what a case causes comes after them. */
  mark(): number;
  /** Whether a line after the mark matches, once it is there. */
  logged(pattern: RegExp, mark: number): Promise<boolean>;
}

export const tlsFlags = ({ certificate, key, authority, revoked }: TlsFiles): string[] => [
  ...['--tls-certificate', certificate, '--tls-key', key, '--tls-ca', authority],
  ...(revoked === undefined ? [] : ['--tls-crl', revoked]),
];

export async function startSubject(
  name: SubjectName,
  { folder, children }: SoakContext<Bounds>,
  forgeries: Forgeries,
): Promise<Subject> {
  const files = filesIn(join(forgeries.folder, name));
  const logPath = join(folder, `${name}.log`);
  const data = name === 'console' ? [] : ['--data-folder', makeFolder(folder, `${name}-data`)];
  const process = await children.startService(name, {
    logPath,
    flags: [...data, '--metrics-address', '127.0.0.1:0', ...tlsFlags(files)],
  });
  const lines = (): string[] => (existsSync(logPath) ? readFileSync(logPath, 'utf8').split('\n') : []);
  return {
    name,
    sample: SAMPLES[name],
    address: process.address,
    metrics: String(process.ready['metrics']),
    files,
    process,
    mark: () => lines().length - 1,
    async logged(pattern, mark) {
      for (const end = Date.now() + LOG_TIMEOUT_MS; Date.now() < end; await setTimeout(50))
        if (
          lines()
            .slice(mark)
            .some((line) => pattern.test(line))
        )
          return true;
      return false;
    },
  };
}
