// One replica of a group, as a process of its own: what it is told comes over the channel to its parent, which is the
// rendezvous store as well. The parent's side is member-processes.ts.
import { messageOf } from '@online-cnclip/foundation';
import { type Collectives, LostReplicaError } from '../collectives.ts';
import { connectGroup } from '../gloo/connect-group.ts';
import type { FromMember, MemberOptions, ToMember } from './member-processes.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as MemberOptions;
const tell = (message: FromMember) => process.send?.(message);
const waiting = new Map<string, (value: Uint8Array) => void>();
process.on('message', ({ key, value }: ToMember) => {
  waiting.get(key)?.(Buffer.from(value, 'base64'));
  waiting.delete(key);
});

const store = {
  async set(key: string, value: Uint8Array): Promise<void> {
    tell({ kind: 'set', key, value: Buffer.from(value).toString('base64') });
    if (options.scenario === 'dies after publishing') process.kill(process.pid, 'SIGKILL');
  },
  get: (key: string) =>
    new Promise<Uint8Array>((resolve) => {
      waiting.set(key, resolve);
      tell({ kind: 'get', key });
    }),
};

const ELEMENTS = 200_000;

const scenarios: Readonly<Record<MemberOptions['scenario'], (group: Collectives) => Promise<void>>> = {
  'sums for ever': async (group) => {
    const buffer = new Float32Array(new SharedArrayBuffer(4 * ELEMENTS));
    for (;;) {
      buffer.fill(1);
      await group.allReduceSum(buffer);
      tell({ kind: 'progress' });
    }
  },
  'waits and exits': async (group) => {
    setTimeout(() => process.exit(7), 100);
    await group.barrier();
  },
  'does not call': () => new Promise((resolve) => setTimeout(resolve, options.timeoutMs * 20)),
  'dies after publishing': async () => {},
  'ends without closing': async (group) => {
    await group.allReduceSum(new Float32Array(ELEMENTS));
  },
};

try {
  const { rank, worldSize, timeoutMs, scenario } = options;
  const group = await connectGroup({ rank, worldSize, timeoutMs, host: '127.0.0.1', store });
  tell({ kind: 'connected' });
  await scenarios[scenario](group);
  tell({ kind: 'done' });
} catch (error) {
  const name = error instanceof Error ? error.constructor.name : 'unknown';
  const lost = error instanceof LostReplicaError ? error.rank : undefined;
  tell({ kind: 'failed', name, message: messageOf(error), ...(lost !== undefined && { lost }) });
}
process.disconnect();
