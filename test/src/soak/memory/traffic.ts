import {
  createEncoderClient,
  createHealthClient,
  createRankerClient,
  createTrainerClient,
  type EncoderClient,
  type RankerClient,
  type TrainerClient,
} from '@online-cnclip/client';
import {
  EncodeImageRequest,
  EncodeRequest,
  EncodeTextRequest,
  LoadModelRequest,
} from '@online-cnclip/contracts/encoder/v1';
import {
  CreateIndexRequest,
  SearchRequest,
  SetAliasRequest,
  UpsertItemsRequest,
} from '@online-cnclip/contracts/ranker/v1';
import {
  Augmentation,
  BuildDatasetRequest,
  Optimizer,
  RunOptions,
} from '@online-cnclip/contracts/trainer/v1';
import { goldenImages, TINY_TOWERS } from '../tiny-data.ts';

const ALIAS = 'live';
const CALLS = 12;
const TEXTS = ['红色连衣裙', '男士运动鞋 透气', '不锈钢保温杯', '蓝牙耳机'];

/** Data sets are built and runs are trained in every so many rounds. */
const BUILD_EVERY = 3;
const TRAIN_EVERY = 10;

export interface Addresses {
  readonly encoder: string;
  readonly ranker: string;
  readonly trainer: string;
}

/** What users of all kinds ask for at once, in rounds: each with another model and, for its vectors, another index. */
export class Traffic {
  readonly #encoder: EncoderClient;
  readonly #ranker: RankerClient;
  readonly #trainer: TrainerClient;
  readonly #addresses: Addresses;
  readonly #images = goldenImages();
  #index = '';

  constructor(addresses: Addresses) {
    this.#addresses = addresses;
    this.#encoder = createEncoderClient(addresses.encoder);
    this.#ranker = createRankerClient(addresses.ranker);
    this.#trainer = createTrainerClient(addresses.trainer);
  }

  async untilServing(): Promise<void> {
    for (const address of Object.values(this.#addresses)) {
      const health = createHealthClient(address);
      while (!(await health.isServing().catch(() => false)))
        await new Promise((resolve) => setTimeout(resolve, 50));
      health.close();
    }
  }

  /** @throws when any answer is not what it should be. */
  async round(number: number): Promise<void> {
    await this.#encoder.loadModel(
      LoadModelRequest.fromPartial({ checkpointPath: `epoch${1 + (number % 2)}.pt` }),
    );
    await this.#rebuildIndex(number);
    await Promise.all([
      this.#encode(),
      this.#stream(),
      this.#search(),
      number % BUILD_EVERY === 0 ? this.#build() : undefined,
      number % TRAIN_EVERY === 0 ? this.#train(`run-${number}`) : undefined,
    ]);
  }

  close(): void {
    for (const client of [this.#encoder, this.#ranker, this.#trainer]) client.close();
  }

  async #rebuildIndex(number: number): Promise<void> {
    const name = `round-${number}`;
    await this.#ranker.createIndex(CreateIndexRequest.fromPartial({ name }));
    const items = this.#images.map((image, i) => ({
      id: BigInt(i + 1),
      content: { $case: 'image' as const, value: image },
    }));
    await this.#ranker.upsertItems([UpsertItemsRequest.fromPartial({ index: name, items })]);
    await this.#ranker.setAlias(SetAliasRequest.fromPartial({ alias: ALIAS, index: name }));
    if (this.#index !== '') await this.#ranker.dropIndex({ name: this.#index });
    this.#index = name;
  }

  async #encode(): Promise<void> {
    for (let call = 0; call < CALLS; call += 1) {
      const { embeddings } = await this.#encoder.encodeText(EncodeTextRequest.fromPartial({ texts: TEXTS }));
      if (embeddings.some(({ vector }) => !vector)) throw new Error('a text has no vector');
    }
    const images = [...this.#images, Buffer.from('no image')];
    const { embeddings } = await this.#encoder.encodeImage(EncodeImageRequest.fromPartial({ images }));
    if (embeddings.filter(({ vector }) => vector).length !== this.#images.length)
      throw new Error('an image has no vector');
  }

  async #stream(): Promise<void> {
    const requests = this.#images.map((image, i) =>
      EncodeRequest.fromPartial({ itemId: BigInt(i), item: { $case: 'image', value: image } }),
    );
    let answers = 0;
    for await (const _ of this.#encoder.encode(requests)) answers += 1;
    if (answers !== requests.length) throw new Error(`${answers} answers of ${requests.length}`);
    // And one that is left in the middle.
    for await (const _ of this.#encoder.encode(requests)) break;
  }

  async #search(): Promise<void> {
    const queries = [
      ...TEXTS.map((value) => ({ query: { $case: 'text' as const, value } })),
      ...this.#images.slice(0, 2).map((value) => ({ query: { $case: 'image' as const, value } })),
    ];
    for (let call = 0; call < CALLS; call += 1) {
      const { results } = await this.#ranker.search(SearchRequest.fromPartial({ index: ALIAS, queries }));
      if (results.some(({ ids }) => ids.length === 0)) throw new Error('a query has no result');
    }
  }

  async #build(): Promise<void> {
    const request = BuildDatasetRequest.fromPartial({ dataDir: 'datasets/tiny', splits: ['train', 'valid'] });
    for await (const _ of this.#trainer.buildDataset(request));
  }

  async #train(name: string): Promise<void> {
    const options = RunOptions.fromPartial({
      name,
      trainData: 'datasets/trained/lmdb/train',
      batchSize: 4,
      contextLength: 12,
      maxSteps: 2n,
      ...TINY_TOWERS,
      optimizer: Optimizer.OPTIMIZER_ADAMW,
      augmentation: Augmentation.AUGMENTATION_NONE,
      numWorkers: 1,
      warmup: 1n,
    });
    await this.#trainer.startRun({ options });
    for await (const _ of this.#trainer.watchRun({ name }));
    const { run } = await this.#trainer.getRun({ name });
    if (run?.error?.message) throw new Error(run.error.message);
  }
}
