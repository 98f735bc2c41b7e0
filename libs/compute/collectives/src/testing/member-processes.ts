import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface MemberOptions {
  readonly rank: number;
  readonly worldSize: number;
  readonly timeoutMs: number;
  readonly scenario:
    | 'sums for ever'
    | 'waits and exits'
    | 'does not call'
    | 'dies after publishing'
    | 'ends without closing';
}

export type FromMember =
  | { readonly kind: 'set'; readonly key: string; readonly value: string }
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'connected' | 'progress' | 'done' }
  | { readonly kind: 'failed'; readonly name: string; readonly message: string; readonly lost?: number };

export interface ToMember {
  readonly key: string;
  readonly value: string;
}

export type Failed = Extract<FromMember, { kind: 'failed' }>;

/** The processes of one group; their rendezvous store is here. */
export class MemberProcesses {
  readonly #children: ChildProcess[] = [];
  readonly #values = new Map<string, string>();
  readonly #waiting = new Map<string, ChildProcess[]>();

  start(options: MemberOptions): ChildProcess {
    const child = fork(fileURLToPath(new URL('./member.ts', import.meta.url)), [JSON.stringify(options)]);
    child.on('message', (message: FromMember) => this.#serve(child, message));
    this.#children.push(child);
    return child;
  }

  /** Ends what still runs, stopped or not. */
  stopAll(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #serve(child: ChildProcess, message: FromMember): void {
    if (message.kind === 'set') {
      this.#values.set(message.key, message.value);
      for (const other of this.#waiting.get(message.key) ?? []) this.#answer(other, message.key);
      this.#waiting.delete(message.key);
    } else if (message.kind === 'get') {
      if (this.#values.has(message.key)) this.#answer(child, message.key);
      else this.#waiting.set(message.key, [...(this.#waiting.get(message.key) ?? []), child]);
    }
  }

  #answer(child: ChildProcess, key: string): void {
    if (child.connected) child.send({ key, value: this.#values.get(key) ?? '' } satisfies ToMember);
  }
}

/** The next message of a kind from a member. @throws when the process ends before it. */
export async function messageOf<K extends FromMember['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<FromMember, { kind: K }>> {
  const isIt = (message: FromMember): message is Extract<FromMember, { kind: K }> => message.kind === kind;
  return new Promise((resolve, reject) => {
    child.on('message', (message: FromMember) => isIt(message) && resolve(message));
    child.once('exit', (code, signal) =>
      reject(new Error(`the member ended (${code ?? signal}) before it said "${kind}"`)),
    );
  });
}

export async function exitOf(child: ChildProcess): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? (child.signalCode as string);
}
