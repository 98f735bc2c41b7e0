// The commands and programs of docs/clients.md against real services with the smallest model.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  CHECKPOINT,
  ServiceStack,
  SMALL_TOWERS,
  type StartedService,
  untilServing,
} from '../observability/stack.ts';

const run = promisify(execFile);
/** A guard against a hang, not a measure. */
const TIMEOUT_MS = 420_000;
/** Longer than any answer takes on a busy machine; a watch is cut off by it. */
const CALL_SECONDS = '30';
const WATCH_SECONDS = '3';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(join(root, 'docs/clients.md'), 'utf8');
const PORTS = { encoder: 50_051, trainer: 50_052, ranker: 50_053, crawler: 50_054 } as const;
type Name = keyof typeof PORTS;

/** What a fresh service may answer where a command needs a state that it has not: the call itself was understood. */
const UNDERSTOOD = /Code: (NotFound|FailedPrecondition|AlreadyExists|DeadlineExceeded)/;
/** Of these every command has to succeed. */
const STRICT: readonly string[] = ['encoder', 'ranker'];

describe('docs/clients.md', { timeout: TIMEOUT_MS }, () => {
  const stack = new ServiceStack();
  const services = new Map<Name, StartedService>();

  before(async () => {
    await stack.writeCheckpoint();
    const checkpoints = join(stack.dataFolder, 'experiments/shop/checkpoints');
    mkdirSync(checkpoints, { recursive: true });
    cpSync(join(stack.dataFolder, CHECKPOINT), join(checkpoints, 'epoch_latest.pt'));
    const dataset = join(stack.dataFolder, 'datasets/shop');
    mkdirSync(dataset, { recursive: true });
    for (const file of ['valid_imgs.tsv', 'valid_texts.jsonl'])
      cpSync(join(root, 'test/goldens/dataset', file), join(dataset, file));
    const data = { 'data-folder': stack.dataFolder };
    const towers = { 'vision-model': SMALL_TOWERS.visionModel, 'text-model': SMALL_TOWERS.textModel };
    const encoder = await stack.start('encoder', {
      ...data,
      ...towers,
      checkpoint: CHECKPOINT,
      'compute-threads': '1',
    });
    services.set('encoder', encoder);
    const address = { 'encoder-address': encoder.address };
    services.set('ranker', await stack.start('ranker', { ...data, ...address }));
    services.set('trainer', await stack.start('trainer', { ...data, ...address, threads: '1' }));
    services.set('crawler', await stack.start('crawler', { ...data, 'session-wait-ms': '1' }));
    await Promise.all(
      (['encoder', 'ranker', 'trainer'] as const).map((name) => untilServing(serviceOf(name))),
    );
  });
  after(() => stack.close());

  function serviceOf(name: Name): StartedService {
    const service = services.get(name);
    assert.ok(service, name);
    return service;
  }
  const addresses = (): [string, string] => [serviceOf('encoder').address, serviceOf('ranker').address];

  test('the programs in TypeScript', async () => {
    const example = (name: string, ...args: string[]) =>
      run(process.execPath, [join(root, 'docs/examples', name), ...args]);
    const found = await example('search.ts', ...addresses());
    assert.match(found.stdout, /^红色连衣裙: 红色连衣裙 \(1\.000\) of 3$/m);
    const streamed = await example('encode-stream.ts', addresses()[0]);
    assert.equal(streamed.stdout, '100 embedded\ncancelled\ntoo late\n');
  });

  test('the program in Python', async (context) => {
    const python = join(root, 'var/python-client/bin/python');
    if (skipWithout(context, existsSync(python), 'var/python-client, which docs/clients.md says how to make'))
      return;
    const generated = mkdtempSync(join(stack.dataFolder, 'python-'));
    const protos = globSync('onlinecnclip/{common,encoder,ranker}/v1/*.proto', { cwd: join(root, 'proto') });
    const into = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
    await run(python, ['-m', 'grpc_tools.protoc', '-I', join(root, 'proto'), ...into, ...protos]);
    const env = { ...process.env, PYTHONPATH: generated, PYTHONIOENCODING: 'utf-8' };
    const { stdout } = await run(python, [join(root, 'docs/examples/search.py'), ...addresses()], { env });
    assert.match(stdout, /^红色连衣裙: 红色连衣裙 \(1\.000\)$/m);
  });

  test('the commands of grpcurl, in their order', async (context) => {
    const grpcurl = findGrpcurl();
    if (skipWithout(context, grpcurl !== undefined, 'grpcurl in PATH or var/tools')) return;
    const commands = [...page.matchAll(/^ {4}grpcurl (-plaintext .*)$/gm)].map(([, text = '']) => text);
    assert.ok(commands.length > 40, String(commands.length));
    for (const command of commands) {
      const { args, name } = argumentsOf(command);
      const seconds = /\/Watch/.test(command) ? WATCH_SECONDS : CALL_SECONDS;
      const { status, stderr } = spawnSync(grpcurl ?? '', ['-max-time', seconds, ...args], {
        encoding: 'utf8',
      });
      const isFine =
        status === 0 || (!STRICT.includes(name) && UNDERSTOOD.test(stderr)) || seconds === WATCH_SECONDS;
      assert.ok(isFine, `${command}: ${stderr}`);
    }
  });

  /** The words of a command, for the services and the models of this test. */
  function argumentsOf(command: string): { args: string[]; name: Name } {
    const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare = '']) => quoted ?? bare);
    const [name] = Object.entries(PORTS).find(([, port]) => words.includes(`127.0.0.1:${port}`)) ?? [];
    assert.ok(name, command);
    const args = words.map((word) =>
      word === `127.0.0.1:${PORTS[name as Name]}`
        ? serviceOf(name as Name).address
        : word
            .replace('ViT-B-16', SMALL_TOWERS.visionModel)
            .replace('RoBERTa-wwm-ext-base-chinese', SMALL_TOWERS.textModel),
    );
    return { args, name: name as Name };
  }
});

function findGrpcurl(): string | undefined {
  const own = join(root, 'var/tools/grpcurl');
  return [own, 'grpcurl'].find((path) => spawnSync(path, ['-version']).status === 0);
}

/** Says what is missing. What no machine has to have is skipped in CI too: the requests are checked against the contract there. */
function skipWithout(context: TestContext, isThere: boolean, what: string): boolean {
  if (!isThere) context.skip(`needs ${what}`);
  return !isThere;
}
