// The thread that owns onnxruntime's sessions: onnxruntime-node runs a graph on the thread that calls it, which
// must therefore not be the one that answers calls.
import { getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import ort from 'onnxruntime-node';
import type { ArrayMessage, Request, Response, ThreadData } from './protocol.ts';

const port = parentPort;
if (!port) throw new Error('compute-thread.ts runs as a worker thread only');
/** nice(2). */
const MOST_NICE = 19;
const { niceness } = workerData as ThreadData;
// On Linux it is this thread's alone, and that of the threads which onnxruntime will make from here.
if (niceness !== 0) setPriority(Math.min(getPriority() + niceness, MOST_NICE));
const sessions = new Map<number, ort.InferenceSession>();
/** Outputs of earlier stages of the runs in hand, by scope: they never leave this thread. */
const scopes = new Map<number, Map<string, ort.Tensor>>();

async function prepare(request: Extract<Request, { kind: 'prepare' }>): Promise<void> {
  const session = await ort.InferenceSession.create(request.model, {
    intraOpNumThreads: request.threads,
    graphOptimizationLevel: 'all',
    // A memory pattern is planned for one set of sizes and holds on to the largest: 4 GB more in a train step.
    enableMemPattern: false,
    enableCpuMemArena: request.arena,
    executionProviders: [request.device],
    // Each session has threads of its own, which look busily for work for a while after a run: from the next session's cores.
    extra: { 'session.force_spinning_stop': '1' },
    externalData: request.external.map(({ path, data }) => ({ path, data: asBytes(data) })),
    ...(request.profilePrefix === undefined
      ? {}
      : { enableProfiling: true, profileFilePrefix: request.profilePrefix }),
  });
  sessions.set(request.session, session);
}

const asBytes = (data: ArrayMessage['data']): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

// biome-ignore lint/suspicious/noExplicitAny: onnxruntime's constructor is overloaded by type, ours is a union
const toOrt = ({ dtype, data, shape }: ArrayMessage) => new ort.Tensor(dtype as any, data as any, shape);

async function run(request: Extract<Request, { kind: 'run' }>): Promise<ArrayMessage[]> {
  const session = sessions.get(request.session);
  if (!session) throw new Error('this executable was disposed of');
  const feeds: Record<string, ort.Tensor> = {};
  for (const input of request.inputs) feeds[input.name] = toOrt(input);
  const held = heldOf(request.scope);
  for (const name of session.inputNames) feeds[name] ??= held.get(name) as ort.Tensor;
  const given = new Map(request.into.map((array) => [array.name, toOrt(array)]));
  const fetches = Object.fromEntries(session.outputNames.map((name) => [name, given.get(name) ?? null]));
  const results = await session.run(feeds, fetches);
  // The binding copies every output into a fresh array, also one that went into the array it was given.
  for (const name of given.keys()) release(results[name] as ort.Tensor);
  const hold = new Set(request.hold);
  for (const name of hold) held.set(name, results[name] as ort.Tensor);
  for (const name of request.drop ?? []) drop(held, name);
  return session.outputNames
    .filter((name) => !given.has(name) && !hold.has(name))
    .map((name) => {
      const { type, dims, data } = results[name] as ort.Tensor;
      return { name, dtype: type as ArrayMessage['dtype'], shape: dims, data: data as ArrayMessage['data'] };
    });
}

function heldOf(scope: number | undefined): Map<string, ort.Tensor> {
  if (scope === undefined) return new Map();
  const held = scopes.get(scope) ?? new Map<string, ort.Tensor>();
  scopes.set(scope, held);
  return held;
}

function drop(held: Map<string, ort.Tensor>, name: string): void {
  const tensor = held.get(name);
  held.delete(name);
  if (tensor) release(tensor);
}

function endScope(scope: number): void {
  const held = heldOf(scope);
  for (const name of [...held.keys()]) drop(held, name);
  scopes.delete(scope);
}

/** Gives an array's memory back now: garbage collection sees how few objects there are, not how large they are. */
function release({ data }: ort.Tensor): void {
  const { buffer } = data as ArrayMessage['data'];
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

async function handle(request: Request): Promise<readonly ArrayMessage[]> {
  if (request.kind === 'run') return run(request);
  if (request.kind === 'prepare') await prepare(request);
  else if (request.kind === 'end-scope') endScope(request.scope);
  else {
    const session = sessions.get(request.session);
    sessions.delete(request.session);
    session?.endProfiling();
    await session?.release();
  }
  return [];
}

const buffersOf = (outputs: readonly ArrayMessage[]): ArrayBuffer[] =>
  outputs.map(({ data }) => data.buffer).filter((buffer) => buffer instanceof ArrayBuffer);

port.on('message', (request: Request) => {
  handle(request).then(
    (outputs) => port.postMessage({ id: request.id, outputs } satisfies Response, buffersOf(outputs)),
    (error: unknown) =>
      port.postMessage({
        id: request.id,
        error: error instanceof Error ? error.message : String(error),
      } satisfies Response),
  );
});
