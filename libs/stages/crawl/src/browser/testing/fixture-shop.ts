import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The shop of services/fixture-shop in a process of its own, which is started by its path: a stage imports no service. */
export interface FixtureShop {
  /** `http://127.0.0.1:40123` */
  readonly origin: string;
  /** One call of its control API; see services/fixture-shop/src/control.ts. */
  control(method: string, call: string, body?: unknown): Promise<Record<string, never>>;
  setFaults(...rules: object[]): Promise<void>;
  requests(): Promise<readonly ShopRequest[]>;
  /** Kinds of the events that challenge pages saw. */
  inputs(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

export interface ShopRequest {
  readonly at: number;
  readonly path: string;
  readonly session: string | null;
}

const services = new URL('../../../../../../services/', import.meta.url);
const ENTRY = fileURLToPath(new URL('fixture-shop/src/main.ts', services));
/** Ends the shop should the tests be killed. */
const PARENT_WATCH = new URL('launcher/src/processes/parent-watch.ts', services).href;

export async function startFixtureShop(...flags: string[]): Promise<FixtureShop> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      PARENT_WATCH,
      ENTRY,
      '--listen-address',
      '127.0.0.1:0',
      '--metrics-address',
      'off',
      ...flags,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ONLINE_CNCLIP_FIXTURE_SHOP_LOG_LEVEL: 'warn' } },
  );
  const ended = once(child, 'exit');
  const [line] = (await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    ended.then(() => {
      throw new Error('the fixture shop ended before it was ready');
    }),
  ])) as [string];
  const origin = `http://${JSON.parse(line).address}`;
  const control: FixtureShop['control'] = async (method, call, body) => {
    const answer = await fetch(`${origin}/control/${call}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const said = (await answer.json()) as Record<string, never>;
    if (!answer.ok) throw new Error(`${method} ${call}: ${JSON.stringify(said)}`);
    return said;
  };
  return {
    origin,
    control,
    setFaults: async (...rules) => void (await control('PUT', 'faults', { rules })),
    requests: async () => (await control('GET', 'requests'))['requests'] as unknown as ShopRequest[],
    inputs: async () => {
      const { inputs } = await control('GET', 'inputs');
      return (inputs as unknown as { kind: string }[]).map(({ kind }) => kind);
    },
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
