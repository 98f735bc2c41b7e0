import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import { EncoderServiceService, EncodeTextRequest } from '@online-cnclip/contracts/encoder/v1';
import { atLeast, type Figure } from '../soak.ts';
import { medianOf } from '../traffic/percentiles.ts';
import { runTraffic, type TrafficContext, writeRequests } from '../traffic/run-traffic.ts';

const STUB = fileURLToPath(new URL('./stub-service.ts', import.meta.url));
const KINDS = ['shell', 'echo'] as const;

/** Enough that the service never waits for a caller. */
const CALLS_AT_ONCE = 64;

/** The first seconds of a process are spent on compiling it. */
const WARM_UP_SECONDS = 3;

const MIN_SHARE = 0.6;

interface Stub {
  readonly address: string;
  cpuSeconds(): Promise<number>;
}

interface Round {
  readonly callsPerSecond: number;
  readonly cpuMicroseconds: number;
}

/**
 * How many calls the service around a model bears, beside a bare grpc-js server that answers the same messages: both in
 * processes of their own, in turns.
 */
export async function measureShell(
  context: TrafficContext,
  { rounds, seconds, seed }: { readonly rounds: number; readonly seconds: number; readonly seed: number },
): Promise<Figure[]> {
  const request = { texts: ['红色连衣裙 女 夏季'], vectorFormat: VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN };
  const message = Buffer.from(EncodeTextRequest.encode(request).finish()).toString('base64');
  const path = EncoderServiceService.encodeText.path;
  const requestsPath = writeRequests(context.folder, [{ path, message, expected: [] }]);
  const stubs = { shell: await startStub(context, 'shell'), echo: await startStub(context, 'echo') };
  const measure = (kind: (typeof KINDS)[number], roundSeconds: number) =>
    measureRound(context, stubs[kind], { requestsPath, seconds: roundSeconds, seed });
  const measured: Record<(typeof KINDS)[number], Round[]> = { shell: [], echo: [] };
  for (const kind of KINDS) await measure(kind, Math.min(seconds, WARM_UP_SECONDS));
  for (let round = 0; round < rounds; round++)
    for (const kind of KINDS) measured[kind].push(await measure(kind, seconds));
  const rate = (kind: (typeof KINDS)[number]) =>
    medianOf(measured[kind].map(({ callsPerSecond }) => callsPerSecond));
  const cpu = (kind: (typeof KINDS)[number]) =>
    medianOf(measured[kind].map(({ cpuMicroseconds }) => cpuMicroseconds));
  const share = medianOf(
    measured.shell.map(
      ({ callsPerSecond }, round) => callsPerSecond / (measured.echo[round]?.callsPerSecond ?? 0),
    ),
  );
  return [
    atLeast('capacity of the shell beside a bare echo', share, MIN_SHARE, 'of its calls'),
    { name: 'calls of the shell', value: rate('shell'), unit: 'calls/s' },
    { name: 'calls of the echo', value: rate('echo'), unit: 'calls/s' },
    { name: 'CPU time of a call, shell', value: cpu('shell'), unit: 'us' },
    { name: 'CPU time of a call, echo', value: cpu('echo'), unit: 'us' },
  ];
}

async function measureRound(
  context: TrafficContext,
  stub: Stub,
  options: { readonly requestsPath: string; readonly seconds: number; readonly seed: number },
): Promise<Round> {
  const { requestsPath, seconds, seed } = options;
  const before = await stub.cpuSeconds();
  const phases = [{ seconds, callsAtOnce: CALLS_AT_ONCE }];
  const [result] = await runTraffic(context, { address: stub.address, seed, phases, requestsPath });
  const cpuSeconds = (await stub.cpuSeconds()) - before;
  const calls = result?.codes['OK'] ?? 0;
  if (!result || calls !== result.sent) throw new Error(`only ${calls} of ${result?.sent} calls went well`);
  return { callsPerSecond: calls / result.seconds, cpuMicroseconds: (cpuSeconds / calls) * 1e6 };
}

async function startStub({ children }: TrafficContext, kind: string): Promise<Stub> {
  const child = children.spawn(process.execPath, [STUB, kind], { stdio: ['pipe', 'pipe', 'inherit'] });
  if (!child.stdout || !child.stdin) throw new Error('no pipes');
  const { stdin } = child;
  const lines = createInterface(child.stdout);
  const nextLine = async () => {
    const [line] = (await once(lines, 'line')) as [string];
    return JSON.parse(line);
  };
  const { address } = await nextLine();
  return {
    address,
    cpuSeconds: async () => {
      const answer = nextLine();
      stdin.write('\n');
      return (await answer).cpuSeconds;
    },
  };
}
