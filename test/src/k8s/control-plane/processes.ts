import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Tells kubetest to end when its standard input does: whatever ends the test ends the control plane. */
const PARENT_HOLDS_STDIN = { KUBETEST_PARENT_HOLDS_STDIN: '1' };
const POLL_MS = 200;
/** Of one component, on a machine that does much else besides. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 10_000;
/** Of a log, in an error. */
const LAST_LINES = 15;

/** The components of one control plane, and the logs they write into its folder. */
export class Components {
  readonly #binary: string;
  readonly #folder: string;
  readonly #running = new Map<string, ChildProcess>();

  constructor(binary: string, folder: string) {
    this.#binary = binary;
    this.#folder = folder;
  }

  start(name: string, flags: Readonly<Record<string, string | number | boolean>>): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'a');
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn(this.#binary, [name, ...args], {
      cwd: this.#folder,
      stdio: ['pipe', log, log],
      env: { ...process.env, ...PARENT_HOLDS_STDIN },
    });
    this.#running.set(name, child);
  }

  /** @throws Error with the end of the component's log when it ends or does not answer in time. */
  async waitFor(name: string, ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await ready().catch(() => false))) {
      const child = this.#running.get(name);
      const ended = child?.exitCode !== null || child.signalCode !== null;
      if (ended || Date.now() > deadline)
        throw new Error(`${name} ${ended ? 'ended' : 'is not ready'}:\n${this.#lastLines(name)}`);
      await sleep(POLL_MS);
    }
  }

  /** In the opposite order of their start. */
  async stop(): Promise<void> {
    for (const child of [...this.#running.values()].reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timeout = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timeout);
    }
    this.#running.clear();
  }

  #lastLines(name: string): string {
    const lines = readFileSync(join(this.#folder, `${name}.log`), 'utf8')
      .trimEnd()
      .split('\n');
    return lines.slice(-LAST_LINES).join('\n');
  }
}

/** Ports that nothing listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
