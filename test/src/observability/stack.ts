// Services as their own processes on loopback, with the smallest model there is.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { createHealthClient } from '@online-cnclip/client';
import { initializeParameters, resolveModelConfig } from '@online-cnclip/network';

const root = fileURLToPath(new URL('../../../', import.meta.url));

export const SMALL_TOWERS = { visionModel: 'ViT-mini-8-48', textModel: 'RoBERTa-mini-chinese' } as const;
/** Of a checkpoint with random weights, in the data folder. */
export const CHECKPOINT = 'small.pt';

/** How often a service is asked whether it serves. */
const ASK_EVERY_MS = 50;

export interface StartedService {
  readonly address: string;
  /** Of `GET /metrics`. */
  readonly metrics: string;
  readonly child: ChildProcess;
  /** Sends SIGTERM and waits. @returns the exit status. */
  stop(): Promise<number | null>;
}

/** Starts services, and ends all that still run when it is closed. */
export class ServiceStack {
  readonly dataFolder = mkdtempSync(join(tmpdir(), 'observability-'));
  readonly #children: ChildProcess[] = [];

  /** Writes {@link CHECKPOINT}. */
  async writeCheckpoint(): Promise<void> {
    const config = resolveModelConfig(SMALL_TOWERS.visionModel, SMALL_TOWERS.textModel);
    const parameters = initializeParameters(config, 1);
    await writeCheckpoint(join(this.dataFolder, CHECKPOINT), {
      epoch: 1,
      step: 1,
      name: 'small',
      parameters,
    });
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.dataFolder, name), text);
  }

  /** @param name of the folder in services/. */
  async start(name: string, flags: Readonly<Record<string, string>> = {}): Promise<StartedService> {
    const quiet = { 'log-level': 'error' };
    const all = { ...quiet, 'listen-address': '127.0.0.1:0', 'metrics-address': '127.0.0.1:0', ...flags };
    const args = Object.entries(all).flatMap(([flag, value]) => [`--${flag}`, value]);
    const child = spawn(process.execPath, [join(root, 'services', name, 'src/main.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TMPDIR: this.dataFolder },
    });
    this.#children.push(child);
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, 'exit');
    const [line] = await Promise.race([once(lines, 'line'), ended.then(() => [undefined])]);
    if (line === undefined) throw new Error(`${name} ended before it was ready`);
    const { address, metrics } = JSON.parse(line);
    return {
      address,
      metrics,
      child,
      async stop() {
        child.kill('SIGTERM');
        const [code] = await ended;
        return code;
      },
    };
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.dataFolder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Resolves when the service says that it serves. */
export async function untilServing({ address }: StartedService): Promise<void> {
  const health = createHealthClient(address);
  try {
    while (!(await health.isServing().catch(() => false)))
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  } finally {
    health.close();
  }
}
