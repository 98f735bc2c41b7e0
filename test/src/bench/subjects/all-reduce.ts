// All-reduce of 16 million floats between two replicas over Gloo on the loopback: `rate` in GB/s (bytes of the array by the time), `ratio` against
// two processes that exchange as many bytes over one socket and add nothing up, which is what the ring moves. Needs libgloo.
import { connectGroup } from '@online-cnclip/collectives';
import { sharedZeros } from '@online-cnclip/runtime';
import { serve } from '../serve.ts';
import { SocketPair } from '../work/socket-exchange.ts';

const FLOATS = 2 ** 24;
const BYTES = FLOATS * Float32Array.BYTES_PER_ELEMENT;
const REPEATS = 5;
const TIMEOUT_MS = 60_000;

const kept = new Map<string, PromiseWithResolvers<Uint8Array>>();
const entry = (key: string) => {
  const found = kept.get(key) ?? Promise.withResolvers<Uint8Array>();
  kept.set(key, found);
  return found;
};
const store = {
  set: async (key: string, value: Uint8Array) => entry(key).resolve(value),
  get: (key: string) => entry(key).promise,
};
const members = await Promise.all(
  [0, 1].map((rank) => connectGroup({ rank, worldSize: 2, host: '127.0.0.1', store, timeoutMs: TIMEOUT_MS })),
);
const arrays = members.map(() => sharedZeros([FLOATS]).data);
const sockets = await SocketPair.open();

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < REPEATS; i++) await work();
  return (performance.now() - start) / 1000;
}

const reduce = () =>
  secondsOf(() => Promise.all(members.map((member, i) => member.allReduceSum(arrays[i] as Float32Array))));

await serve(
  async () => {
    const seconds = await reduce();
    if (process.argv[2] === 'rate') return (REPEATS * BYTES) / seconds / 1e9;
    return (await secondsOf(() => sockets.run(BYTES))) / seconds;
  },
  async () => {
    await sockets.close();
    await Promise.all(members.map((member) => member.close()));
  },
);
