import { float32 } from '@online-cnclip/foundation';
import { bufferNames, gradientName, LOSS_SCALE, updateName } from '@online-cnclip/network';
import type { Executable, RunArray } from '@online-cnclip/runtime';
import {
  type BatchGradients,
  type BatchOutcome,
  type GradientBatch,
  type GradientSettings,
  globalRows,
  outcomeOf,
  trimPadding,
} from './batch-gradients.ts';
import { dropoutMasks } from './dropout-masks.ts';
import { prepareGradients } from './prepare-gradients.ts';

/** Gradients of a batch in one forward and backward pass. */
export async function createWholeBatchGradients(settings: GradientSettings): Promise<BatchGradients> {
  return new WholeBatchGradients(
    settings,
    await prepareGradients(settings, { batchSize: settings.batchSize, masked: false }),
  );
}

class WholeBatchGradients implements BatchGradients {
  readonly #settings: GradientSettings;
  readonly #plain: Executable;
  /** The program with masks, by its batch size: prepared when the first batch needs it. */
  readonly #masked = new Map<number, Promise<Executable>>();
  readonly #outputs: Readonly<Record<string, RunArray>>;
  readonly #buffers: readonly string[];

  constructor(settings: GradientSettings, plain: Executable) {
    this.#settings = settings;
    this.#plain = plain;
    this.#outputs = Object.fromEntries(
      settings.words
        .writtenByPrograms(settings.gradients.tensors)
        .map(([name, tensor]) => [gradientName(name), tensor]),
    );
    this.#buffers = [...bufferNames(settings.config)];
  }

  async run(batch: GradientBatch): Promise<BatchOutcome> {
    const { config, replicas, parameters, words } = this.#settings;
    const [rows = 0] = batch.images.shape;
    const ids = trimPadding(batch.inputIds);
    const length = ids.shape[1] as number;
    const executable = batch.pairKeys ? await this.#withMasks(rows) : this.#plain;
    const outputs = await executable.run(
      {
        images: batch.images,
        input_ids: ids,
        ...dropoutMasks(config, globalRows(replicas, 0, rows), length, batch.dropout),
        ...(batch.pairKeys && { pair_keys: batch.pairKeys }),
        [LOSS_SCALE.name]: float32([], Float32Array.of(batch.lossScale)),
        ...Object.fromEntries(parameters),
      },
      this.#outputs,
    );
    words.clear();
    words.add(ids, outputs);
    const statistics = new Map<string, Float32Array>();
    for (const name of this.#buffers) {
      const update = outputs[updateName(name)];
      if (update) statistics.set(name, update.data as Float32Array);
    }
    return outcomeOf(outputs, statistics);
  }

  async dispose(): Promise<void> {
    await this.#plain.dispose();
    for (const masked of this.#masked.values()) await (await masked).dispose();
  }

  #withMasks(rows: number): Promise<Executable> {
    const masked =
      this.#masked.get(rows) ?? prepareGradients(this.#settings, { batchSize: rows, masked: true });
    this.#masked.set(rows, masked);
    return masked;
  }
}
