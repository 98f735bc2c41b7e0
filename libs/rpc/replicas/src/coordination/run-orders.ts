import { FailedPreconditionError } from '@online-cnclip/foundation';
import { Mailbox } from './mailbox.ts';

/** A run that every replica is to take part in. */
export interface RunOrder {
  readonly run: string;
  /** Options of the training stage, as JSON. */
  readonly optionsJson: string;
  /** Folder of replica 0 that paths in the options lie in. */
  readonly dataFolder: string;
}

/** What replica 0's trainer has the others do. */
export class RunOrders {
  readonly #worldSize: number;
  readonly #followers = new Set<Mailbox<RunOrder | 'none'>>();
  #current: RunOrder | undefined;

  constructor(worldSize: number) {
    this.#worldSize = worldSize;
  }

  start(order: RunOrder): void {
    this.#tell(order);
  }

  end(): void {
    this.#tell(undefined);
  }

  /** @throws FailedPreconditionError when the follower is told of another number of replicas. */
  async *follow(rank: number, worldSize: number, signal: AbortSignal): AsyncGenerator<RunOrder | 'none'> {
    if (worldSize !== this.#worldSize)
      throw new FailedPreconditionError(
        `replica ${rank} and replica 0 are told of different numbers of replicas: ${worldSize} and ${this.#worldSize}`,
      );
    const mailbox = new Mailbox<RunOrder | 'none'>();
    mailbox.push(this.#current ?? 'none');
    this.#followers.add(mailbox);
    try {
      yield* mailbox.read(signal);
    } finally {
      this.#followers.delete(mailbox);
    }
  }

  #tell(order: RunOrder | undefined): void {
    this.#current = order;
    for (const mailbox of this.#followers) mailbox.push(order ?? 'none');
  }
}
