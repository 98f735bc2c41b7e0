import {
  AbortedError,
  AlreadyExistsError,
  type ApplicationError,
  abortError,
} from '@online-cnclip/foundation';
import { checkJoining, disagreement } from './agreement.ts';
import type { GroupEvent, Joining } from './events.ts';
import { Mailbox } from './mailbox.ts';

/**
 * How long a replica that comes back waits for its former self to be noticed as gone. A connection that broke is seen in
 * milliseconds, unless this process was stopped or busy.
 */
const PREDECESSOR_WAIT_MS = 3_000;

interface Member {
  readonly joining: Joining;
  readonly mailbox: Mailbox<GroupEvent>;
  /** Resolved when the member is gone. */
  readonly gone: PromiseWithResolvers<void>;
}

/** What lasts as long as a complete group does. */
interface Gathering {
  readonly generation: number;
  readonly values: Map<string, PromiseWithResolvers<Uint8Array>>;
  readonly finished: Set<number>;
  readonly end: PromiseWithResolvers<'finished' | ApplicationError>;
}

/** The replicas of one run: gathers them, notices who is lost, gathers them again. */
export class RunGroup {
  readonly #members = new Map<number, Member>();
  readonly #predecessorWaitMs: number;
  #generation = 0;
  #gathering: Gathering | undefined;
  #isFinished = false;

  constructor(predecessorWaitMs = PREDECESSOR_WAIT_MS) {
    this.#predecessorWaitMs = predecessorWaitMs;
  }

  /** Takes part until the signal aborts, which means that the replica is gone. */
  async *join(joining: Joining, signal: AbortSignal): AsyncGenerator<GroupEvent, void, undefined> {
    checkJoining(joining);
    await this.#awaitPredecessor(joining);
    if (this.#isFinished) {
      yield { kind: 'finished' };
      return;
    }
    const member: Member = { joining, mailbox: new Mailbox(), gone: Promise.withResolvers() };
    this.#admit(member);
    try {
      yield* member.mailbox.read(signal);
    } finally {
      this.#leave(member);
    }
  }

  /** @throws AbortedError when the group is no more. */
  setValue(generation: number, key: string, value: Uint8Array): void {
    slot(this.#current(generation), key).resolve(value);
  }

  /** @throws AbortedError when the group is dissolved; the signal's reason. */
  async getValue(generation: number, key: string, signal: AbortSignal): Promise<Uint8Array> {
    const gathering = this.#current(generation);
    const value = await untilEnd(gathering, slot(gathering, key).promise, signal);
    if (value === 'finished') throw new AbortedError('the run has ended');
    return value;
  }

  /** Resolves when every replica has finished. @throws as {@link getValue}. */
  async finish(generation: number, rank: number, signal: AbortSignal): Promise<void> {
    const gathering = this.#current(generation);
    gathering.finished.add(rank);
    if (gathering.finished.size === this.#members.size) {
      this.#isFinished = true;
      gathering.end.resolve('finished');
    }
    await untilEnd(gathering, new Promise<never>(() => {}), signal);
  }

  #current(generation: number): Gathering {
    if (this.#gathering?.generation !== generation)
      throw new AbortedError(`group ${generation} of the run is no more`);
    return this.#gathering;
  }

  async #awaitPredecessor({ rank, instance, host }: Joining): Promise<void> {
    const predecessor = this.#members.get(rank);
    if (!predecessor) return;
    if (predecessor.joining.instance === instance) {
      this.#leave(predecessor);
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#predecessorWaitMs);
    await Promise.race([predecessor.gone.promise, promise]);
    clearTimeout(timer);
    if (this.#members.get(rank) !== predecessor) return;
    throw this.#failAll(
      new AlreadyExistsError(
        `two replicas have rank ${rank}: ${predecessor.joining.host} and ${host}; each needs one of its own`,
      ),
    );
  }

  #admit(member: Member): void {
    const { rank, worldSize } = member.joining;
    for (const other of this.#members.values()) {
      const error = disagreement(other.joining, member.joining);
      if (error) throw this.#failAll(error);
    }
    this.#members.set(rank, member);
    if (this.#members.size === worldSize) this.#gather();
    else this.#tellAwaited(worldSize);
  }

  #gather(): void {
    const joinings = [...this.#members.values()].map(({ joining }) => joining);
    const step = Math.max(...joinings.map((joining) => joining.step));
    const newest = joinings.filter((joining) => joining.step === step).map(({ rank }) => rank);
    const behind = joinings.filter((joining) => joining.step !== step).map(({ rank }) => rank);
    const generation = ++this.#generation;
    this.#gathering = {
      generation,
      values: new Map(),
      finished: new Set(),
      end: Promise.withResolvers(),
    };
    const root = Math.min(...newest);
    for (const { mailbox } of this.#members.values())
      mailbox.push({ kind: 'gathered', generation, root, step, behind: behind.sort((a, b) => a - b) });
  }

  #tellAwaited(worldSize: number): void {
    const ranks = Array.from({ length: worldSize }, (_, rank) => rank).filter(
      (rank) => !this.#members.has(rank),
    );
    for (const { mailbox } of this.#members.values()) mailbox.push({ kind: 'awaited', ranks });
  }

  #leave(member: Member): void {
    const { rank, worldSize, host } = member.joining;
    member.gone.resolve();
    if (this.#members.get(rank) !== member) return;
    this.#members.delete(rank);
    if (this.#isFinished) return;
    if (this.#gathering) this.#dissolve(rank, `${host} has left`);
    else this.#tellAwaited(worldSize);
  }

  /** Everyone is told, and joins again. */
  #dissolve(rank: number, reason: string): void {
    const members = [...this.#members.values()];
    this.#clear(new AbortedError(`replica ${rank} is lost: ${reason}`));
    for (const { mailbox } of members) {
      mailbox.push({ kind: 'dissolved', rank, reason });
      mailbox.end();
    }
  }

  /** Everyone gets the error, so that none waits for what cannot come. */
  #failAll(error: ApplicationError): ApplicationError {
    const members = [...this.#members.values()];
    this.#clear(error);
    for (const { mailbox } of members) mailbox.end(error);
    return error;
  }

  #clear(reason: ApplicationError): void {
    for (const { gone } of this.#members.values()) gone.resolve();
    this.#members.clear();
    this.#gathering?.end.resolve(reason);
    this.#gathering = undefined;
  }
}

function slot({ values }: Gathering, key: string): PromiseWithResolvers<Uint8Array> {
  const value = values.get(key) ?? Promise.withResolvers<Uint8Array>();
  values.set(key, value);
  return value;
}

/** A promise, or the end of the group before it. */
async function untilEnd<T>(
  { end }: Gathering,
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T | 'finished'> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(abortError(signal));
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    const ended = end.promise.then((outcome) => {
      if (outcome !== 'finished') throw outcome;
      return outcome;
    });
    return await Promise.race([promise, ended, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
