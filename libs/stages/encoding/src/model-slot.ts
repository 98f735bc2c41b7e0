import { FailedPreconditionError } from '@online-cnclip/foundation';

interface Disposable {
  dispose(): Promise<void>;
}

interface Holder<Model> {
  readonly model: Model;
  uses: number;
  retired: boolean;
  readonly drained: PromiseWithResolvers<void>;
}

/**
 * Holds the model that new calls get. Replacing it lets the calls under way finish with the model they began with;
 * the old one is disposed when the last of them has ended.
 */
export class ModelSlot<Model extends Disposable> {
  #holder: Holder<Model> | undefined;

  /** The model that a new call would get, for reading only. */
  get current(): Model | undefined {
    return this.#holder?.model;
  }

  /**
   * Runs work with the model of now, which stays alive until the work ends.
   *
   * @throws FailedPreconditionError while no model is loaded; what the work throws.
   */
  async use<T>(work: (model: Model) => Promise<T>): Promise<T> {
    const holder = this.#holder;
    if (!holder) throw new FailedPreconditionError('no model loaded');
    holder.uses += 1;
    try {
      return await work(holder.model);
    } finally {
      holder.uses -= 1;
      release(holder);
    }
  }

  /**
   * Gives new calls another model (or none), at once.
   *
   * @returns when the old model's calls have ended and it is disposed.
   */
  async replace(model: Model | undefined): Promise<void> {
    const old = this.#holder;
    this.#holder = model && {
      model,
      uses: 0,
      retired: false,
      drained: Promise.withResolvers<void>(),
    };
    if (!old) return;
    old.retired = true;
    release(old);
    await old.drained.promise;
    await old.model.dispose();
  }
}

function release(holder: Holder<unknown>): void {
  if (holder.retired && holder.uses === 0) holder.drained.resolve();
}
