import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRankerClient, createTrainerClient } from '@online-cnclip/client';
import { SearchRequest } from '@online-cnclip/contracts/ranker/v1';
import { ListRunsRequest } from '@online-cnclip/contracts/trainer/v1';

// The launcher as a user runs it, with real services and sockets; only the data set and the training are cut short.
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const ENTRY = join(root, 'services/launcher/src/main.ts');
const SHORT = ['--port-base', '0', '--emoji-limit', '60', '--max-steps', '2', '--batch-size', '8'];
const TIMEOUT_MS = 480_000;
/** Environment variable that tells the test's processes from others. */
const MARK = 'ONLINE_CNCLIP_LAUNCHER_TEST';

interface Launched {
  readonly child: ChildProcess;
  readonly output: string[];
  /** Resolves with the first line that matches. */
  line(pattern: RegExp): Promise<string>;
  readonly ended: Promise<[code: number | null, signal: string | null]>;
}

const launchedChildren: ChildProcess[] = [];
let folder: string;
let pictures: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'launcher-e2e-'));
  pictures = join(folder, 'pictures');
  mkdirSync(pictures);
  const emoji = dirname(fileURLToPath(import.meta.resolve('emoji-datasource-twitter/package.json')));
  // Three of the emoji in use, one that is not, and a skin tone.
  for (const name of ['1f600.png', '1f602.png', '1f60d.png', '1f621.png', '1f44b-1f3fb.png'])
    copyFileSync(join(emoji, 'img/twitter/64', name), join(pictures, name));
});
// A test that failed half-way must not leave its launcher, which would keep this process waiting.
afterEach(() => {
  for (const child of launchedChildren.splice(0)) child.kill('SIGKILL');
});
after(() => rmSync(folder, { recursive: true, force: true }));

function launch(...flags: string[]): Launched {
  const child = spawn(process.execPath, [ENTRY, '--folder', folder, ...SHORT, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, [MARK]: folder },
  });
  launchedChildren.push(child);
  const output: string[] = [];
  const waiting: [RegExp, (line: string) => void][] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      output.push(line);
      for (const [pattern, resolve] of waiting) if (pattern.test(line)) resolve(line);
    });
  const ended = once(child, 'close') as Launched['ended'];
  const line = (pattern: RegExp): Promise<string> => {
    const said = output.find((one) => pattern.test(one));
    if (said !== undefined) return Promise.resolve(said);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    waiting.push([pattern, resolve]);
    void ended.then(() => reject(new Error(`ended without ${pattern}:\n${output.join('\n')}`)));
    return promise;
  };
  return { child, output, line, ended };
}

/** Processes that were started for the test, by their command lines: they all inherit its mark, and browsers name its folder. */
function leftovers(): string[] {
  return globSync('/proc/[0-9]*').flatMap((process) => {
    const line = readProcessFile(`${process}/cmdline`);
    const isOurs =
      line.includes(folder) || readProcessFile(`${process}/environ`).includes(`${MARK}=${folder}`);
    return isOurs && line !== '' ? [line] : [];
  });
}

/** Empty where the process has ended meanwhile. */
function readProcessFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Names of the services among the processes, and whether there is a browser. */
const runningServices = (): string[] =>
  leftovers().flatMap((line) => /services\/([a-z-]+)\/src\/main\.ts/.exec(line)?.[1] ?? []);
const isBrowserRunning = (): boolean => leftovers().some((line) => line.includes('--user-data-dir='));

async function assertNothingLeft(): Promise<void> {
  for (let waited = 0; leftovers().length > 0 && waited < 15_000; waited += 100) await delay(100);
  assert.deepEqual(leftovers(), []);
}

const report = () => JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));

const addressOf = async ({ line }: Launched, service: string): Promise<string> => {
  const said = await line(new RegExp(`^ +${service} +127\\.0\\.0\\.1:\\d+`));
  return /127\.0\.0\.1:\d+/.exec(said)?.[0] ?? '';
};

function assertRecalls(tests: Record<string, Record<string, number>>): void {
  assert.deepEqual(Object.keys(tests), ['seen', 'unseen']);
  for (const { r1 = -1, r5 = -1, r10 = -1, mean_recall = -1, queries = 0, gallery, ...rest } of Object.values(
    tests,
  )) {
    assert.deepEqual(rest, {});
    assert.ok(0 <= r1 && r1 <= r5 && r5 <= r10 && r10 <= 100);
    assert.ok(Math.abs(mean_recall - (r1 + r5 + r10) / 3) < 0.02);
    assert.ok(queries > 0 && queries === gallery);
  }
}

describe('npm start', { timeout: TIMEOUT_MS }, () => {
  test('--once does the whole job, online learning included, reports, ends with 0 and leaves nothing running', async () => {
    const launched = launch('--once');
    const [code] = await launched.ended;
    assert.equal(code, 0, launched.output.join('\n'));
    const { offline, crawl, gate, online, seconds } = report();
    assert.deepEqual(Object.keys(report()), ['offline', 'crawl', 'gate', 'online', 'seconds']);
    const stages = ['dataset', 'train', 'encode', 'rank', 'log_in', 'crawl', 'adapt'];
    assert.deepEqual(Object.keys(seconds), ['setup', ...stages, 'encode_online', 'rank_online']);
    for (const key of stages) assert.ok(seconds[key] > 0, key);
    assertRecalls(offline);
    assertRecalls(online);
    assert.equal(crawl.queries, offline.unseen.queries);
    assert.equal(crawl.failed, 0, launched.output.join('\n'));
    assert.ok(crawl.images >= 3 * (crawl.queries - crawl.no_results), `${crawl.images} images`);
    assert.equal(gate.max_drop, '10%');
    assert.equal(gate.passed, gate.before - gate.after <= gate.before / 10);
    // A gate that passes is followed by the adapted model's figures, one that does not by those of before.
    assert.equal(seconds.encode_online > 0, gate.passed);
    if (!gate.passed) assert.deepEqual(online, offline);
    assert.ok(launched.output.some((line) => line.startsWith('unseen concepts')));
    assert.ok(launched.output.some((line) => line.startsWith('  after learning online')));
    await assertNothingLeft();
  });

  test('--gallery uses the trained model, stays up and answers; an interrupt ends it with 0', async () => {
    const launched = launch('--gallery', pictures);
    await launched.line(/^using the model trained before/);
    const ranker = createRankerClient(await addressOf(launched, 'ranker'));
    const trainer = createTrainerClient(await addressOf(launched, 'trainer'));
    const page = await launched.line(/^open http/);
    const answer = await fetch(/http:\S+/.exec(page)?.[0] ?? '');
    assert.match(await answer.text(), /<html/);
    await launched.line(/Ctrl-C/);
    const { offline, seconds } = report();
    assert.equal(seconds.train, 0);
    assert.deepEqual(Object.keys(report()), ['offline', 'seconds']);
    assert.deepEqual([offline.seen.gallery, offline.unseen.gallery], [5, 5]);
    assert.equal(offline.seen.queries + offline.unseen.queries, 3);

    const query = { query: { $case: 'text' as const, value: '红色的心' } };
    const { results } = await ranker.search(
      SearchRequest.fromPartial({ index: 'gallery', queries: [query], topK: 3 }),
    );
    assert.equal(results[0]?.ids.length, 3);
    const { runs } = await trainer.listRuns(ListRunsRequest.fromPartial({}));
    assert.deepEqual(
      runs.map(({ name }) => name.split('-')[0]),
      ['online', 'emoji'],
    );
    ranker.close();
    trainer.close();
    const printed = launched.output.filter((line) => line.includes('grpcurl -plaintext'));
    assert.equal(printed.length, 3);

    launched.child.kill('SIGINT');
    assert.deepEqual(await launched.ended, [0, null]);
    await assertNothingLeft();
  });

  test('a launcher that is killed in the middle of training takes everything with it', async () => {
    const launched = launch('--once', '--max-steps', '100000');
    await launched.line(/^train: \d+ to do/);
    assert.deepEqual(runningServices().sort(), [
      ...['console', 'crawler', 'encoder', 'fixture-shop', 'launcher', 'ranker', 'trainer'],
    ]);
    launched.child.kill('SIGKILL');
    await assertNothingLeft();
  });

  test('an interrupt in the middle of the crawl ends it with 130 and takes the browsers with it', async () => {
    const launched = launch('--once', '--emoji-limit', '400');
    await launched.line(/^crawl: \d+ to do/);
    assert.ok(isBrowserRunning());
    launched.child.kill('SIGINT');
    assert.deepEqual(await launched.ended, [130, null]);
    assert.ok(!launched.output.some((line) => /Error|at .*\.ts:\d/.test(line)), launched.output.join('\n'));
    await assertNothingLeft();
  });

  test('a wrong option or folder is refused before any service starts', async () => {
    const wrong = launch('--max-steps', 'many');
    assert.deepEqual(await wrong.ended, [2, null]);
    assert.match(wrong.output.join('\n'), /--max-steps/);
    const missing = launch('--gallery', join(folder, 'none'));
    assert.notEqual((await missing.ended)[0], 0);
    assert.match(missing.output.join('\n'), /none: cannot be read/);
    await assertNothingLeft();
  });
});
