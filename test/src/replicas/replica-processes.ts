import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReplicaOptions, StepsDone } from './replica.ts';

const ENTRY = fileURLToPath(new URL('./replica.ts', import.meta.url));

/** The processes of one group of replicas. */
export class ReplicaProcesses {
  readonly #folder = mkdtempSync(join(tmpdir(), 'replicas-'));
  readonly #children: readonly ChildProcess[];

  private constructor(options: Omit<ReplicaOptions, 'rank' | 'folder'>) {
    const { threads } = options;
    this.#children = Array.from({ length: options.worldSize }, (_, rank) =>
      fork(ENTRY, [JSON.stringify({ ...options, rank, folder: this.#folder } satisfies ReplicaOptions)], {
        env: { ...process.env, OMP_NUM_THREADS: String(threads) },
      }),
    );
  }

  /** Resolves when all are connected and have their model. */
  static async start(options: Omit<ReplicaOptions, 'rank' | 'folder'>): Promise<ReplicaProcesses> {
    const group = new ReplicaProcesses(options);
    await Promise.all(group.#children.map((child) => answerOf(child)));
    return group;
  }

  /** Trains on the group's one batch. @returns what each replica says, in the order of ranks. */
  async train(steps: number): Promise<readonly StepsDone[]> {
    const answers = this.#children.map((child) => answerOf(child) as Promise<StepsDone>);
    for (const child of this.#children) child.send(steps);
    return Promise.all(answers);
  }

  async end(): Promise<void> {
    for (const child of this.#children) if (child.connected) child.disconnect();
    await Promise.all(
      this.#children.map((child) => (child.exitCode === null ? once(child, 'exit') : undefined)),
    );
    rmSync(this.#folder, { recursive: true });
  }
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null) =>
      reject(new Error(`the replica ended with ${code ?? signal}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}
