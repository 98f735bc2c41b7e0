// What `cnclip launch` starts, with processes in the place of replicas that print what they were started with.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { skipWithoutGloo } from '@online-cnclip/collectives/testing';
import { InvalidInputError } from '@online-cnclip/foundation';
import { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { configure } from './launch.ts';

interface Started {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

async function launch(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Started[]> {
  const lines: string[] = [];
  const context: CliContext = {
    dataPath: undefined,
    environment,
    progress: { note: (line) => lines.push(line), start: () => assert.fail('a launcher has no bar') },
    print: (line) => lines.push(line),
    stopSignal: () => new AbortController().signal,
    replica: () => undefined,
    clientSecurity: () => assert.fail('nothing is called'),
    allowPlaintext: false,
    startSelf: (given, added) => {
      const said = JSON.stringify({ args: given, environment: added });
      return spawn(process.execPath, ['-e', `console.log(${JSON.stringify(said)})`], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    },
    setExitCode: (code) => assert.equal(code, 0, lines.join('\n')),
  };
  const command = new Command('launch').exitOverride();
  configure(command, context);
  await command.parseAsync([...args], { from: 'user' });
  const started = lines.map((line) => {
    const [, rank, said] = /^\[(\d+)\] (.*)$/.exec(line) ?? [];
    const replica = JSON.parse(said ?? '') as Started;
    assert.equal(replica.environment['RANK'], rank);
    return replica;
  });
  return started.sort((a, b) => Number(a.environment['RANK']) - Number(b.environment['RANK']));
}

const gpus = (started: readonly Started[]) =>
  started.map(({ environment }) => environment['CUDA_VISIBLE_DEVICES']);

test('one replica needs no libgloo; the rest of the line is its command', async () => {
  const [only, ...others] = await launch(['--', 'train', '--batch-size', '4', '--threads', '3']);
  assert.deepEqual(others, []);
  assert.deepEqual(only?.args, ['train', '--batch-size', '4', '--threads', '3']);
  assert.equal(only?.environment['WORLD_SIZE'], '1');
  assert.equal(only?.environment['CUDA_VISIBLE_DEVICES'], undefined);
});

test('replicas get ranks, one port and a share of the cores', { skip: skipWithoutGloo() }, async () => {
  const started = await launch(['--nproc', '3', '--master-port', '29123', '--', 'train']);
  started.forEach(({ args, environment }, rank) => {
    assert.deepEqual(environment, {
      RANK: String(rank),
      LOCAL_RANK: String(rank),
      WORLD_SIZE: '3',
      LOCAL_WORLD_SIZE: '3',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: '29123',
    });
    assert.equal(args[1], '--threads');
    assert.ok(Number(args[2]) >= 1);
  });
  assert.equal(started.length, 3);
});

test('--gpus gives each replica the GPU of its rank, among those that may be seen', async (t) => {
  assert.deepEqual(gpus(await launch(['--gpus', '--', 'train'])), ['0']);
  assert.deepEqual(gpus(await launch(['--gpus', '--', 'train'], { CUDA_VISIBLE_DEVICES: 'GPU-8a, 1' })), [
    'GPU-8a',
  ]);
  const skip = skipWithoutGloo();
  if (skip) return t.diagnostic(skip);
  assert.deepEqual(gpus(await launch(['--nproc', '2', '--gpus', '--', 'train'])), ['0', '1']);
  const some = { CUDA_VISIBLE_DEVICES: '4,6,7' };
  assert.deepEqual(gpus(await launch(['--gpus', '--nproc', '2', '--', 'train'], some)), ['4', '6']);
  assert.deepEqual(gpus(await launch(['--nproc', '2', '--', 'train'], some)), [undefined, undefined]);
});

test('fewer GPUs than replicas, and a command that trains nothing, are refused before anything starts', async () => {
  for (const visible of ['', ' ', ','])
    await assert.rejects(
      launch(['--gpus', '--', 'train'], { CUDA_VISIBLE_DEVICES: visible }),
      (error) => error instanceof InvalidInputError && error.place === '--gpus',
    );
  await assert.rejects(launch(['--', 'predict']), /only "train" runs on replicas, not "predict"/);
});
