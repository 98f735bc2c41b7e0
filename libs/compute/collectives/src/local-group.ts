import {
  type ApplicationError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
} from '@online-cnclip/foundation';
import {
  type Collectives,
  checkBroadcast,
  checkFloats,
  checkGather,
  checkRank,
  LostReplicaError,
} from './collectives.ts';

/** As for a group over the network: longer than a slow step, short enough for a test to end. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** One member's part in a collective. */
interface Part {
  /** What has to be equal on every member. */
  readonly shape: string;
  readonly input?: Float32Array | Uint8Array;
  readonly output?: Float32Array | Uint8Array;
  readonly settle: (error?: ApplicationError) => void;
}

/** What a complete collective does with the parts of all members, in the order of ranks. */
type Combine = (parts: readonly Part[]) => void;

interface Round {
  readonly parts: Part[];
  readonly combine: Combine;
  arrived: number;
}

/** Members of one group within one process, for tests: the port's semantics without sockets. */
export function localGroup(
  worldSize: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): readonly Collectives[] {
  checkRank(0, worldSize, 'rank');
  const meeting = new Meeting(worldSize, timeoutMs);
  return Array.from({ length: worldSize }, (_, rank) => new LocalMember(rank, meeting));
}

/** Where the members' calls meet: the n-th call of each member belongs to round n. */
class Meeting {
  readonly worldSize: number;
  readonly #timeoutMs: number;
  readonly #rounds = new Map<number, Round>();
  #failure: ApplicationError | undefined;

  constructor(worldSize: number, timeoutMs: number) {
    this.worldSize = worldSize;
    this.#timeoutMs = timeoutMs;
  }

  join(rank: number, round: number, part: Omit<Part, 'settle'>, combine: Combine): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const late = new DeadlineExceededError(`not every replica took part within ${this.#timeoutMs} ms`);
      const timer = setTimeout(() => this.fail(late), this.#timeoutMs);
      const settle = (error?: ApplicationError) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      };
      this.#add(rank, round, { ...part, settle }, combine);
    });
  }

  fail(error: ApplicationError): void {
    this.#failure ??= error;
    for (const { parts } of this.#rounds.values()) for (const part of parts) part?.settle(this.#failure);
    this.#rounds.clear();
  }

  #add(rank: number, number: number, part: Part, combine: Combine): void {
    const round = this.#rounds.get(number) ?? { parts: [], combine, arrived: 0 };
    this.#rounds.set(number, round);
    round.parts[rank] = part;
    const other = round.parts.findIndex((one) => one !== undefined && one.shape !== part.shape);
    if (other >= 0) {
      const [theirs, ours] = [round.parts[other]?.shape, part.shape];
      this.fail(
        new InvalidInputError(`replica ${rank} calls ${ours} where replica ${other} calls ${theirs}`),
      );
      return;
    }
    if (++round.arrived < this.worldSize) return;
    this.#rounds.delete(number);
    round.combine(round.parts);
    for (const one of round.parts) one.settle();
  }
}

class LocalMember implements Collectives {
  readonly rank: number;
  readonly worldSize: number;
  readonly #meeting: Meeting;
  #calls = 0;
  #isClosed = false;

  constructor(rank: number, meeting: Meeting) {
    this.rank = rank;
    this.worldSize = meeting.worldSize;
    this.#meeting = meeting;
  }

  async allReduceSum(buffer: Float32Array): Promise<void> {
    checkFloats(buffer, 'buffer');
    await this.#join({ shape: `allReduceSum of ${buffer.length}`, input: buffer, output: buffer }, sum);
  }

  async allGather(input: Float32Array, output: Float32Array): Promise<void> {
    checkGather(input, output, this.worldSize);
    await this.#join({ shape: `allGather of ${input.length}`, input, output }, gather);
  }

  async broadcast(array: Float32Array | Uint8Array, root: number): Promise<void> {
    checkBroadcast(array, root, this.worldSize);
    const shape = `broadcast of ${array.byteLength} bytes from ${root}`;
    await this.#join({ shape, input: array, output: array }, (parts) => copyFrom(parts, root));
  }

  async barrier(): Promise<void> {
    await this.#join({ shape: 'barrier' }, () => {});
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#meeting.fail(new LostReplicaError(this.rank, 'it closed the group'));
  }

  async #join(part: Omit<Part, 'settle'>, combine: Combine): Promise<void> {
    if (this.#isClosed) throw new FailedPreconditionError('the group is closed');
    await this.#meeting.join(this.rank, this.#calls++, part, combine);
  }
}

function sum(parts: readonly Part[]): void {
  const inputs = parts.map(({ input }) => input as Float32Array);
  const total = new Float32Array(inputs[0]?.length ?? 0);
  for (const input of inputs)
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (input[i] as number);
  for (const { output } of parts) output?.set(total);
}

function gather(parts: readonly Part[]): void {
  for (const { output } of parts)
    for (const [rank, { input }] of parts.entries()) if (input) output?.set(input, rank * input.length);
}

function copyFrom(parts: readonly Part[], root: number): void {
  const source = parts[root]?.input?.slice() ?? [];
  for (const { output } of parts) output?.set(source);
}
