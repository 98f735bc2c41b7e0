import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ServiceProcess {
  readonly address: string;
  /** By SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

/** A service of the repository on loopback, its log in a file. Resolves when it listens. */
export async function startService(
  name: 'crawler' | 'fixture-shop',
  flags: readonly string[],
  logPath: string,
): Promise<ServiceProcess> {
  const main = fileURLToPath(new URL(`../../../services/${name}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [main, '--metrics-address', 'off', ...flags], {
    stdio: ['ignore', 'pipe', openSync(logPath, 'a')],
  });
  const address = await Promise.race([addressOf(child), endOf(child, name)]);
  return {
    address,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

async function addressOf({ stdout }: ChildProcess): Promise<string> {
  if (!stdout) throw new Error('no output');
  const [line] = (await once(createInterface(stdout), 'line')) as [string];
  return JSON.parse(line).address;
}

async function endOf(child: ChildProcess, name: string): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`${name} ended with ${code}`);
}
