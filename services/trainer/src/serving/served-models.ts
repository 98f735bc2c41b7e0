import { readFile } from 'node:fs/promises';
import type { EncoderClient } from '@online-cnclip/client';
import { DataLossError, FailedPreconditionError, writeFileAtomically } from '@online-cnclip/foundation';

/** A model as the encoder is told to load it; its path is relative to the data folder that both services share. */
export interface ServedModel {
  readonly checkpointPath: string;
  readonly visionModel: string;
  readonly textModel: string;
  readonly contextLength: number;
}

/** Models that can be gone back to; older ones are forgotten. */
const MAX_HISTORY = 20;

/**
 * Tells the encoder what to serve, and remembers what it served before, so that one call goes back. The memory is a
 * file: it outlives the service.
 */
export class ServedModels {
  readonly #encoder: EncoderClient;
  readonly #path: string;
  #last: Promise<unknown> = Promise.resolve();

  /** @param path of the file of what was served before. */
  constructor(encoder: EncoderClient, path: string) {
    this.#encoder = encoder;
    this.#path = path;
  }

  /** @throws what the encoder's LoadModel says; it then serves what it served. */
  serve(model: ServedModel): Promise<void> {
    return this.#oneByOne(async () => {
      const before = await this.#current();
      await this.#encoder.loadModel(model);
      // Loading what is served already leaves nothing to go back to.
      if (before && before.checkpointPath !== model.checkpointPath)
        await this.#write([...(await this.#history()), before].slice(-MAX_HISTORY));
    });
  }

  /**
   * Goes back to what was served before the last {@link serve}.
   *
   * @returns both checkpoints' paths.
   * @throws FailedPreconditionError when there is nothing to go back to.
   */
  rollBack(): Promise<{ readonly checkpointPath: string; readonly replacedCheckpointPath: string }> {
    return this.#oneByOne(async () => {
      const history = await this.#history();
      const model = history.at(-1);
      if (!model) throw new FailedPreconditionError('no adapted checkpoint has replaced another one');
      const replaced = await this.#current();
      await this.#encoder.loadModel(model);
      await this.#write(history.slice(0, -1));
      return {
        checkpointPath: model.checkpointPath,
        replacedCheckpointPath: replaced?.checkpointPath ?? '',
      };
    });
  }

  close(): void {
    this.#encoder.close();
  }

  /** What the encoder serves; nothing while it has no model. */
  async #current(): Promise<ServedModel | undefined> {
    try {
      const { model } = await this.#encoder.getModel({});
      return model && pick(model);
    } catch (error) {
      if (error instanceof FailedPreconditionError) return undefined;
      throw error;
    }
  }

  /** The latest last. */
  async #history(): Promise<ServedModel[]> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    try {
      return (JSON.parse(text) as ServedModel[]).map(pick);
    } catch (cause) {
      throw new DataLossError('is no list of models', { place: this.#path, cause });
    }
  }

  async #write(history: readonly ServedModel[]): Promise<void> {
    await writeFileAtomically(this.#path, `${JSON.stringify(history, null, 2)}\n`);
  }

  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => {});
    return done;
  }
}

const pick = ({ checkpointPath, visionModel, textModel, contextLength }: ServedModel): ServedModel => ({
  checkpointPath,
  visionModel,
  textModel,
  contextLength,
});
