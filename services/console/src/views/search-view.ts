import type { Model } from '@online-cnclip/contracts/encoder/v1';
import type { Index } from '@online-cnclip/contracts/ranker/v1';
import type { IndexView, ModelView } from '../wire.ts';
import { timeOf } from './scalars.ts';

export const modelView = (model: Model): ModelView => ({
  checkpointPath: model.checkpointPath,
  visionModel: model.visionModel,
  textModel: model.textModel,
  fingerprint: model.fingerprint,
  embeddingDimension: model.embeddingDimension,
  contextLength: model.contextLength,
  imageResolution: model.imageResolution,
  loadedAt: timeOf(model.loadTime),
});

export const indexView = (index: Index, pictures: boolean): IndexView => ({
  name: index.name,
  items: String(index.items),
  dimension: index.dimension,
  modelFingerprint: index.modelFingerprint,
  createdAt: timeOf(index.createTime),
  pictures,
});
