import {
  AbortedError,
  ApplicationError,
  DataFolder,
  FailedPreconditionError,
  InvalidInputError,
  type Logger,
  RetoldError,
  throwIfAborted,
  UnavailableError,
} from '@online-cnclip/foundation';
import type { EncoderModel, ModelDescription } from './encoder-model.ts';
import { ModelSlot } from './model-slot.ts';

export interface ModelRequest {
  /** Relative to the host's folder. */
  readonly checkpointPath: string;
  /** Preset of the image tower; default: that of the loaded model. */
  readonly visionModel?: string | undefined;
  /** Preset of the text tower; default: that of the loaded model. */
  readonly textModel?: string | undefined;
  /** Tokens per text at most; default: the host's. */
  readonly contextLength?: number | undefined;
}

/** What a loader is asked for: everything known, the path as the host's user wrote it and as it is on disk. */
export interface ResolvedModelRequest {
  readonly checkpointPath: string;
  readonly absolutePath: string;
  readonly visionModel: string;
  readonly textModel: string;
  readonly contextLength: number;
}

export interface ModelHostOptions {
  /** The only folder that checkpoints are loaded from. */
  readonly dataFolder: string;
  readonly contextLength: number;
  /** Builds a model; it is verified and disposed here. */
  readonly load: (request: ResolvedModelRequest, signal: AbortSignal | undefined) => Promise<EncoderModel>;
  /** Called when a model has answered a real inference and takes the calls. */
  readonly onLoaded?: (model: EncoderModel) => void;
  readonly logger: Logger;
}

export interface LoadedModel {
  readonly model: EncoderModel;
  /** When it began to take the calls. */
  readonly loadedAt: Date;
}

/** Keeps the model that calls get, and swaps it for another without dropping any. */
export class ModelHost {
  readonly #options: ModelHostOptions;
  readonly #slot = new ModelSlot<EncoderModel>();
  readonly #retiring = new Set<Promise<void>>();
  #loadedAt = new Date(0);
  #loading = false;
  #closed = false;

  constructor(options: ModelHostOptions) {
    this.#options = options;
  }

  /** @throws FailedPreconditionError while no model is loaded. */
  get current(): LoadedModel {
    const model = this.#slot.current;
    if (!model) throw new FailedPreconditionError('no model loaded');
    return { model, loadedAt: this.#loadedAt };
  }

  /** Tokens per text at most of the model of now, or of one that is yet to come. */
  get contextLength(): number {
    return this.#slot.current?.description.contextLength ?? this.#options.contextLength;
  }

  /** Of the model of now; undefined while none is loaded. */
  get description(): ModelDescription | undefined {
    return this.#slot.current?.description;
  }

  /** Items in work with the model of now. */
  get queued(): { readonly texts: number; readonly images: number } {
    const model = this.#slot.current;
    return { texts: model?.texts.queued ?? 0, images: model?.images.queued ?? 0 };
  }

  /** Runs work with the model of now. @throws FailedPreconditionError while no model is loaded. */
  use<T>(work: (model: EncoderModel) => Promise<T>): Promise<T> {
    return this.#slot.use(work);
  }

  /**
   * Loads a model beside the one that serves, makes it compute a text and an image, and only then gives it the
   * calls. Both are in memory meanwhile. When anything fails the old model stays.
   *
   * @throws AbortedError when another load is going on; InvalidInputError when the path lies outside the folder or the
   *   checkpoint does not fit the towers; NotFoundError when there is no such file; what the loader throws.
   */
  async load(request: ModelRequest, signal?: AbortSignal): Promise<LoadedModel> {
    if (this.#closed) throw new UnavailableError('the service is shutting down');
    if (this.#loading) throw new AbortedError('another model is being loaded; retry when it is done');
    this.#loading = true;
    try {
      const model = await this.#build(await this.#resolve(request), signal);
      await this.#verify(model, signal);
      this.#swap(model);
      return this.current;
    } finally {
      this.#loading = false;
    }
  }

  /** Ends serving: waits for the calls under way, then frees every model. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retire(undefined);
    await Promise.all(this.#retiring);
  }

  async #build(request: ResolvedModelRequest, signal: AbortSignal | undefined): Promise<EncoderModel> {
    try {
      return await this.#options.load(request, signal);
    } catch (error) {
      // Named as the caller named it: where the data folder lies is nobody's business.
      const { absolutePath, checkpointPath } = request;
      if (error instanceof ApplicationError && error.message.includes(absolutePath))
        throw new RetoldError(
          error,
          error.message.replaceAll(absolutePath, checkpointPath),
          'checkpoint_path',
        );
      throw error;
    }
  }

  async #resolve(request: ModelRequest): Promise<ResolvedModelRequest> {
    const loaded = this.#slot.current?.description;
    const visionModel = request.visionModel || loaded?.visionModel;
    const textModel = request.textModel || loaded?.textModel;
    if (!visionModel || !textModel)
      throw new InvalidInputError('is needed: no model is loaded whose towers could be kept', {
        place: visionModel ? 'text_model' : 'vision_model',
      });
    return {
      checkpointPath: request.checkpointPath,
      absolutePath: await new DataFolder(this.#options.dataFolder).existing(
        request.checkpointPath,
        'checkpoint_path',
      ),
      visionModel,
      textModel,
      contextLength: request.contextLength || this.#options.contextLength,
    };
  }

  async #verify(model: EncoderModel, signal: AbortSignal | undefined): Promise<void> {
    try {
      await model.verify(signal);
      throwIfAborted(signal);
      if (this.#closed) throw new UnavailableError('the service is shutting down');
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  #swap(model: EncoderModel): void {
    const { onLoaded, logger } = this.#options;
    this.#loadedAt = new Date();
    this.#retire(model);
    logger.info({ model: model.description }, 'model loaded');
    onLoaded?.(model);
  }

  #retire(next: EncoderModel | undefined): void {
    const old = this.#slot.current?.description;
    const retiring: Promise<void> = this.#slot
      .replace(next)
      .then(() => old && this.#options.logger.info({ fingerprint: old.fingerprint }, 'model disposed'))
      .catch((err) => this.#options.logger.error({ err, model: old }, 'model could not be disposed'))
      .finally(() => this.#retiring.delete(retiring));
    this.#retiring.add(retiring);
  }
}
