// Encoder, trainer, ranker and crawler in one small gRPC server, with answers that a test decides on.
import { CrawlerServiceService } from '@online-cnclip/contracts/crawler/v1';
import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { Index, RankerServiceService, type SearchRequest } from '@online-cnclip/contracts/ranker/v1';
import { TrainerServiceService } from '@online-cnclip/contracts/trainer/v1';
import { NotFoundError, silentLogger } from '@online-cnclip/foundation';
import { createService, type Handlers, implement } from '@online-cnclip/service-kit';
import { FakeCrawler } from './fake-crawler.ts';
import { FakeTrainer } from './fake-trainer.ts';
import { unsupported, unsupportedStream } from './unsupported.ts';

export interface FakeHit {
  readonly id: bigint;
  readonly score: number;
}

export const FINGERPRINT = 'c0ffee'.padEnd(64, '0');

/** The world behind a console under test. */
export class FakeServices {
  readonly trainer = new FakeTrainer();
  readonly crawler = new FakeCrawler();
  readonly indexes: Index[] = [];
  /** Searches that came, the latest last. */
  readonly searches: SearchRequest[] = [];
  /** What the next searches find. */
  hits: readonly FakeHit[] = [];
  modelLoaded = true;
  readonly #service = createService({
    name: 'fake',
    implementations: [
      implement(EncoderServiceService, this.#encoder()),
      implement(RankerServiceService, this.#ranker()),
      implement(TrainerServiceService, this.trainer.handlers()),
      implement(CrawlerServiceService, this.crawler.handlers()),
    ],
    logger: silentLogger,
    drainTimeoutMs: 100,
  });

  async listen(): Promise<string> {
    const address = await this.#service.listen('127.0.0.1:0');
    this.#service.health.setServing(true);
    return address;
  }

  close(): Promise<void> {
    return this.#service.close();
  }

  addIndex(name: string, items: number, modelFingerprint = FINGERPRINT): void {
    this.indexes.push(
      Index.fromPartial({
        name,
        items: BigInt(items),
        dimension: 128,
        modelFingerprint,
        createTime: new Date(),
      }),
    );
  }

  #encoder(): Handlers<typeof EncoderServiceService> {
    return {
      getModel: async () => {
        if (!this.modelLoaded) throw new NotFoundError('no model is loaded', { place: 'encoder' });
        const model = {
          checkpointPath: 'experiments/emoji/checkpoints/epoch_latest.pt',
          visionModel: 'ViT-mini-8-48',
          textModel: 'RoBERTa-mini-chinese',
          fingerprint: FINGERPRINT,
          embeddingDimension: 128,
          contextLength: 24,
          imageResolution: 48,
          logitScale: 14,
          precision: 'fp32',
          loadTime: new Date(),
        };
        return { model, limits: undefined };
      },
      tokenize: unsupported,
      encodeText: unsupported,
      encodeImage: unsupported,
      encode: unsupportedStream,
      loadModel: unsupported,
    };
  }

  #ranker(): Handlers<typeof RankerServiceService> {
    const find = (name: string): Index => {
      const index = this.indexes.find((one) => one.name === name);
      if (!index) throw new NotFoundError('no such index', { place: name });
      return index;
    };
    return {
      listIndexes: async () => ({ indexes: this.indexes }),
      getIndex: async ({ name }) => ({ index: find(name) }),
      search: async (request) => {
        find(request.index);
        this.searches.push(request);
        const hits = this.hits.slice(0, request.topK);
        const result = { ids: hits.map(({ id }) => id), scores: hits.map(({ score }) => score) };
        return { results: [{ status: { code: 0, message: '' }, ...result }], index: request.index };
      },
      createIndex: unsupported,
      dropIndex: unsupported,
      upsertItems: unsupported,
      deleteItems: unsupported,
      getItems: unsupported,
      setAlias: unsupported,
      listAliases: unsupported,
      dropAlias: unsupported,
      ensemble: unsupported,
      evaluate: unsupported,
    };
  }
}
