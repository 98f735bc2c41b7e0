import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface Output {
  readonly stdout: string;
  /** Warnings of the API server are here. */
  readonly stderr: string;
}

/** kubectl of the kubetest program, as an administrator. */
export class Kubectl {
  readonly #binary: string;
  readonly #flags: readonly string[];

  /** @param kubeconfig none: for what needs no cluster. */
  constructor(binary: string, kubeconfig?: string) {
    this.#binary = binary;
    this.#flags = kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`];
  }

  /** @throws Error with what kubectl said when it fails. */
  async run(args: readonly string[], input?: string): Promise<Output> {
    const child = spawn(this.#binary, ['kubectl', ...this.#flags, ...args]);
    child.stdin.end(input);
    const [stdout, stderr, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
      }),
    ]);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr || stdout}`);
    return { stdout, stderr };
  }

  apply(objects: readonly unknown[], ...flags: string[]): Promise<Output> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    return this.run(['apply', '--filename=-', ...flags], list);
  }
}
