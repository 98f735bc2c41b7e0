import type { ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CERTIFICATE_FILES, renewCertificates } from '@online-cnclip/security/certificates';
import { makeFolder } from '../run-soak.ts';
import { atLeast, type Bounds, defineSoak, exactly, type SoakContext } from '../soak.ts';
import { CASES, type Case } from './cases.ts';
import { type Forgeries, filesIn, forge, writeFiles } from './certificates.ts';
import { callWith, readMetrics, serialNumberShown } from './probe.ts';
import { SUBJECTS, type Subject, startSubject, tlsFlags } from './subjects.ts';

type TlsBounds = { readonly minutes: number; readonly maxServices: number; readonly maxRounds: number };

/** Files are looked at every two seconds. */
const RELOAD_TIMEOUT_MS = 60_000;

/** Counts of what was tried and of what went as it should. */
class Tally {
  tried = 0;
  refused = 0;
  toBeLogged = 0;
  logged = 0;
  good = 0;
  accepted = 0;
  readonly cases = new Set<string>();
}

export const soak = defineSoak<TlsBounds>({
  name: 'tls',
  description: 'strangers of every kind are refused by every service, which says why; who may is served',
  bounds: {
    short: { minutes: 2, maxServices: 1, maxRounds: 1 },
    default: { minutes: 15, maxServices: SUBJECTS.length, maxRounds: 1 },
    long: { minutes: 15, maxServices: SUBJECTS.length, maxRounds: 1_000 },
  },
  async run(context) {
    const tally = new Tally();
    const forgeries = await forge(makeFolder(context.folder, 'certificates'));
    const subjects: Subject[] = [];
    for (const name of SUBJECTS.slice(0, context.bounds.maxServices)) {
      context.tell(`starting ${name}`);
      subjects.push(await startSubject(name, context, forgeries));
    }
    let rounds = 0;
    while (rounds < context.bounds.maxRounds && (rounds === 0 || !context.timeUp.aborted)) {
      for (const subject of subjects) {
        for (const one of CASES) await tryCase(one, subject, forgeries, tally, context);
        await tryGood(subject, forgeries, tally, context);
        await tryReplaced(subject, forgeries, tally, context);
      }
      rounds++;
    }
    const [first] = subjects;
    const wrongKeys = first ? await startWithWrongKey(first, forgeries, context) : false;
    const clean = await Promise.all(subjects.map(({ process }) => process.terminate()));
    return {
      figures: [
        { name: 'services', value: subjects.length, unit: '' },
        { name: 'rounds', value: rounds, unit: '' },
        atLeast('cases', tally.cases.size, 12),
        exactly('refused', tally.refused, tally.tried),
        exactly('reason logged', tally.logged, tally.toBeLogged),
        exactly('good ones accepted, before and after new certificates', tally.accepted, tally.good),
        exactly("a key that does not match is the service's end", wrongKeys ? 1 : 0, 1),
        exactly('services that ended well', clean.filter((code) => code === 0).length, subjects.length),
      ],
    };
  },
});

async function tryCase(
  one: Case,
  subject: Subject,
  forgeries: Forgeries,
  tally: Tally,
  { tell }: SoakContext<Bounds>,
): Promise<void> {
  const mark = subject.mark();
  const answer = await one.try(subject, forgeries);
  if (answer === undefined) return;
  tally.cases.add(one.name);
  tally.tried++;
  if (one.refusal?.test(answer)) tally.refused++;
  else tell(`${subject.name}, ${one.name}: answered ${answer}`);
  if (!one.logged) return;
  tally.toBeLogged++;
  if (await subject.logged(one.logged, mark)) tally.logged++;
  else tell(`${subject.name}, ${one.name}: ${one.logged} is not in its log`);
}

/** What was asked for was done, or could not be for a reason that has nothing to do with who asked. */
const isServed = (answer: string): boolean =>
  /^(http 200|grpc \d+)$/.test(answer) && !/grpc (7|16)$/.test(answer);

async function tryGood(
  { name, sample, address, metrics }: Subject,
  { good }: Forgeries,
  tally: Tally,
  { tell }: SoakContext<Bounds>,
): Promise<void> {
  const answers = [
    await readMetrics(metrics, good('scraper')),
    ...(sample
      ? [
          await callWith(address, sample.path, good(sample.may)),
          await callWith(address, '/grpc.health.v1.Health/Check', good('scraper')),
          await callWith(
            address,
            '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
            good('operator'),
          ),
        ]
      : []),
  ];
  tally.good += answers.length;
  tally.accepted += answers.filter(isServed).length;
  if (!answers.every(isServed)) tell(`${name}: good ones were answered ${answers.join(', ')}`);
}

/** New certificates for everybody while the service runs: the service shows its new one, and takes the others' new and old ones. */
async function tryReplaced(
  subject: Subject,
  forgeries: Forgeries,
  tally: Tally,
  context: SoakContext<Bounds>,
): Promise<void> {
  const { address, metrics, sample, files } = subject;
  const at = sample ? address : metrics;
  const options = sample ? {} : { alpn: ['http/1.1'] };
  const show = () => serialNumberShown(at, forgeries.good('operator'), options);
  // What was renewed for the service before this one has come to it, too.
  const before = await untilShown(show, files.certificate);
  const mark = subject.mark();
  // Half of a change: the key is another's. The certificate that there was has to stay.
  const key = readFileSync(files.key);
  cpSync(join(forgeries.folder, 'client', CERTIFICATE_FILES.key), files.key);
  tally.good += 3;
  if (await subject.logged(/the old ones stay: .*is not the key of/, mark)) tally.accepted++;
  if ((await show()) === before) tally.accepted++;
  writeFiles(join(files.key, '..'), { [CERTIFICATE_FILES.key]: key.toString('utf8') });
  await renewCertificates(forgeries.folder);
  await subject.logged(/the new ones are in force/, mark);
  if ((await untilShown(show, files.certificate)) !== before) tally.accepted++;
  await tryGood(subject, forgeries, tally, context);
}

/** @returns the serial number that is shown, once it is that of the file. */
async function untilShown(show: () => Promise<string>, certificate: string): Promise<string> {
  const { serialNumber } = new X509Certificate(readFileSync(certificate));
  for (const end = Date.now() + RELOAD_TIMEOUT_MS; Date.now() < end; await setTimeout(100))
    if ((await show()) === serialNumber) return serialNumber;
  throw new Error(`${certificate} is not shown after ${RELOAD_TIMEOUT_MS} ms`);
}

/** A service with another's key ends at once, with the status of a wrong configuration, and names the file. */
async function startWithWrongKey(
  { name }: Subject,
  { folder }: Forgeries,
  { children }: SoakContext<Bounds>,
): Promise<boolean> {
  const files = { ...filesIn(join(folder, name)), key: filesIn(join(folder, 'client')).key };
  const main = fileURLToPath(new URL(`../../../../services/${name}/src/main.ts`, import.meta.url));
  const child: ChildProcess = children.spawn(process.execPath, [main, ...tlsFlags(files)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [said, [code]] = await Promise.all([child.stderr ? text(child.stderr) : '', once(child, 'exit')]);
  return code === 2 && /tls\.key: is not the key of/.test(said);
}
