import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { missingGloo } from '@online-cnclip/collectives';
import { FailedPreconditionError, InvalidInputError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import { countOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { ReplicaProcesses } from '../replica-processes.ts';

/** More processes than this on one machine are a mistake. */
const MAX_REPLICAS = 64;

interface Options {
  readonly nproc: number;
  readonly maxRestarts: number;
  readonly masterPort?: number;
  readonly gpus?: boolean;
}

export function configure(command: Command, context: CliContext): void {
  command
    .description(
      'Trains on several replicas on this machine: `cnclip launch --nproc 4 -- train ...`. Each is a process with RANK, WORLD_SIZE, ' +
        'MASTER_ADDR and MASTER_PORT as torchrun sets them. When one fails all end, unless restarts are left.',
    )
    .usage('[options] -- train [options of train]')
    .argument('<command...>', 'train, with its options');
  countOption(command, '--nproc <n>', 'replicas', { most: MAX_REPLICAS, initial: 1 });
  countOption(command, '--max-restarts <n>', 'replicas that may be started again, in all', {
    least: 0,
    initial: 0,
  });
  countOption(command, '--master-port <port>', 'port of the rendezvous [any free one]', { most: 65_535 });
  command.option(
    '--gpus',
    'give each replica one GPU, by its rank: of those in CUDA_VISIBLE_DEVICES where it is set, else of all',
  );
  command.action((args: readonly string[], options: Options) => launch(args, options, context));
}

async function launch(args: readonly string[], options: Options, context: CliContext): Promise<void> {
  const { nproc, maxRestarts, masterPort, gpus } = options;
  if (args[0] !== 'train')
    throw new InvalidInputError(`only "train" runs on replicas, not ${JSON.stringify(args[0])}`, {
      place: 'command',
    });
  const missing = missingGloo();
  if (nproc > 1 && missing !== undefined) throw new FailedPreconditionError(missing);
  const gpuOf = gpus ? gpusByRank(nproc, context.environment['CUDA_VISIBLE_DEVICES']) : undefined;
  const port = masterPort ?? (await freePort());
  const signal = context.stopSignal();
  const processes = new ReplicaProcesses({
    worldSize: nproc,
    maxRestarts,
    signal,
    note: (line) => context.progress.note(line),
    start: (rank) =>
      context.startSelf(withThreads(args, nproc), {
        RANK: String(rank),
        LOCAL_RANK: String(rank),
        WORLD_SIZE: String(nproc),
        LOCAL_WORLD_SIZE: String(nproc),
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: String(port),
        ...(gpuOf && { CUDA_VISIBLE_DEVICES: gpuOf(rank) }),
      }),
    print: (line) => context.print(line),
  });
  context.setExitCode(await processes.run());
}

/** @throws InvalidInputError where fewer GPUs may be seen than there are replicas. */
function gpusByRank(replicas: number, visible: string | undefined): (rank: number) => string {
  if (visible === undefined) return String;
  const gpus = visible.split(',').flatMap((gpu) => gpu.trim() || []);
  if (gpus.length < replicas)
    throw new InvalidInputError(
      `${replicas} replicas need a GPU each, and CUDA_VISIBLE_DEVICES is ${JSON.stringify(visible)}`,
      { place: '--gpus' },
    );
  return (rank) => gpus[rank] as string;
}

/** The machine's cores, shared out; whoever says --threads has decided. */
function withThreads(args: readonly string[], replicas: number): readonly string[] {
  if (args.some((arg) => arg === '--threads' || arg.startsWith('--threads='))) return args;
  return [...args, '--threads', String(Math.max(1, Math.floor(availableParallelism() / replicas)))];
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
  });
  return promise;
}
