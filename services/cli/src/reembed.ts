import {
  createEncoderClient,
  createRankerClient,
  type EncoderClient,
  type RankerClient,
} from '@online-cnclip/client';
import { errorOfItem } from '@online-cnclip/contracts';
import { VectorFormat } from '@online-cnclip/contracts/common/v1';
import type { Embedding, Model } from '@online-cnclip/contracts/encoder/v1';
import type { Index, Item } from '@online-cnclip/contracts/ranker/v1';
import {
  AbortedError,
  AlreadyExistsError,
  FailedPreconditionError,
  NotFoundError,
  throwIfAborted,
} from '@online-cnclip/foundation';
import type { CliContext } from './context.ts';
import { openImages } from './encode-files.ts';
import { withClient } from './services.ts';

export interface ReembedOptions {
  /** {split}_imgs.tsv, or a split's LMDB folder. */
  readonly images: string;
  /** Alias that searches use. */
  readonly alias: string;
  /** Alias of the new index until it takes the other's place. */
  readonly next: string;
  /** Name of the new index. */
  readonly into?: string;
  readonly allowMissing?: boolean;
  readonly batchSize: number;
  /** Of the ranker. */
  readonly address: string;
  readonly encoder: string;
}

/** Of one message: below the services' limit, whatever the images' number. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** Of the fingerprint in the new index's name. */
const NAME_DIGITS = 12;

interface Picture {
  readonly id: bigint;
  readonly image: Buffer;
}

/** Fills a new index with the encoder's model and lets the alias lead to it. */
export async function reembed(options: ReembedOptions, context: CliContext): Promise<void> {
  const signal = context.stopSignal();
  await withClient(context, createRankerClient, options.address, (ranker) =>
    withClient(context, createEncoderClient, options.encoder, async (encoder) => {
      const { model } = await encoder.getModel({}, { signal });
      if (!model) throw new NotFoundError('the encoder has no model', { place: options.encoder });
      await fillAndSwap({ ranker, encoder, model, options, context, signal });
    }),
  );
}

interface Reembedding {
  readonly ranker: RankerClient;
  readonly encoder: EncoderClient;
  readonly model: Model;
  readonly options: ReembedOptions;
  readonly context: CliContext;
  readonly signal: AbortSignal;
}

async function fillAndSwap(reembedding: Reembedding): Promise<void> {
  const { ranker, model, options, context, signal } = reembedding;
  const old = await indexOf(ranker, options.alias, signal);
  if (old?.name === options.alias)
    throw new AlreadyExistsError(`${options.alias} is an index itself: an alias of that name cannot be set`, {
      place: '--alias',
    });
  const name = options.into ?? `${options.alias}-${model.fingerprint.slice(0, NAME_DIGITS)}`;
  if (old?.name === name) {
    context.print(`${options.alias} -> ${name} already, which is of the encoder's model`);
    return;
  }
  await prepareIndex(ranker, name, model, signal);
  await ranker.setAlias({ alias: options.next, index: name }, { signal });
  const refused = await fill({ ...reembedding, name, old });
  await requireWhole(ranker, name, old, refused, options);
  await ranker.setAlias({ alias: options.alias, index: name }, { signal });
  await ranker.dropAlias({ alias: options.next }, { signal });
  context.print(`${options.alias} -> ${name}${old ? ` (before: ${old.name})` : ''}`);
}

/** The index of a name or alias; undefined when there is none. */
async function indexOf(ranker: RankerClient, name: string, signal: AbortSignal): Promise<Index | undefined> {
  try {
    return (await ranker.getIndex({ name }, { signal })).index;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function prepareIndex(
  ranker: RankerClient,
  name: string,
  { embeddingDimension: dimension, fingerprint: modelFingerprint }: Model,
  signal: AbortSignal,
): Promise<void> {
  const there = await indexOf(ranker, name, signal);
  if (!there) {
    await ranker.createIndex({ name, dimension, modelFingerprint }, { signal });
    return;
  }
  if (there.modelFingerprint === modelFingerprint) return;
  throw new FailedPreconditionError(
    `index ${name} is of model ${there.modelFingerprint || 'unknown'} and the encoder's is ${modelFingerprint}`,
    { place: '--into' },
  );
}

interface Filling extends Reembedding {
  /** The new index. */
  readonly name: string;
  readonly old: Index | undefined;
}

/** Embeds the images that the new index does not hold yet. @returns how many were refused. */
async function fill(filling: Filling): Promise<number> {
  const { options, context, signal } = filling;
  const { sources, total, close } = openImages(options.images, signal);
  const task = total === undefined ? undefined : context.progress.start('images', total);
  let done = 0;
  let refused = 0;
  try {
    let batch: Picture[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      refused += await embedMissing(filling, batch);
      done += batch.length;
      task?.update(done);
      batch = [];
      bytes = 0;
    };
    for await (const { id, input } of sources) {
      throwIfAborted(signal);
      if (batch.length === options.batchSize || bytes + input.length > MAX_BATCH_BYTES) await flush();
      batch.push({ id: BigInt(id), image: Buffer.from(input) });
      bytes += input.length;
    }
    await flush();
  } finally {
    task?.end();
    close();
  }
  return refused;
}

/** @returns how many were refused. */
async function embedMissing(filling: Filling, batch: readonly Picture[]): Promise<number> {
  const { ranker, name, model, context, signal } = filling;
  if (batch.length === 0) return 0;
  const { items: held } = await ranker.getItems({ index: name, ids: batch.map(({ id }) => id) }, { signal });
  const missing = batch.filter((_, i) => errorOfItem(held[i]?.status) !== undefined);
  if (missing.length === 0) return 0;
  const vectors = await embed(filling, missing);
  const attributes = await attributesOf(filling, missing);
  let refused = 0;
  const items: Item[] = [];
  for (const [i, { id }] of missing.entries()) {
    const { status, vector } = vectors[i] ?? {};
    if (vector)
      items.push({ id, content: { $case: 'vector', value: vector }, attributes: attributes[i] ?? {} });
    else {
      refused++;
      context.print(`item ${id}: ${status?.message}`);
    }
  }
  const message = { index: name, items, modelFingerprint: model.fingerprint };
  const { failures } = await ranker.upsertItems([message], { signal });
  for (const { id, status } of failures) context.print(`item ${id}: ${status?.message}`);
  return refused + failures.length;
}

async function embed(
  { encoder, model, signal }: Filling,
  pictures: readonly Picture[],
): Promise<readonly Embedding[]> {
  const request = {
    images: pictures.map(({ image }) => image),
    vectorFormat: VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN,
  };
  const { embeddings, modelFingerprint } = await encoder.encodeImage(request, { signal });
  if (modelFingerprint === model.fingerprint) return embeddings;
  throw new AbortedError(
    `the encoder's model was swapped from ${model.fingerprint} to ${modelFingerprint}: the same command begins with that one`,
  );
}

/** What the old index knows of the items. */
async function attributesOf(
  { ranker, old, signal }: Filling,
  pictures: readonly Picture[],
): Promise<readonly Item['attributes'][]> {
  if (!old) return [];
  const ids = pictures.map(({ id }) => id);
  const { items } = await ranker.getItems({ index: old.name, ids }, { signal });
  return items.map(({ attributes }) => attributes);
}

async function requireWhole(
  ranker: RankerClient,
  name: string,
  old: Index | undefined,
  refused: number,
  { allowMissing, alias }: ReembedOptions,
): Promise<void> {
  if (allowMissing) return;
  const { index } = await ranker.getIndex({ name });
  const [items, before] = [index?.items ?? 0n, old?.items ?? 0n];
  if (refused === 0 && items >= before) return;
  throw new FailedPreconditionError(
    `${alias} was left as it is: ${refused} images were refused, and index ${name} has ${items} items where ` +
      `${old?.name ?? 'none'} has ${before}; --allow-missing swaps all the same`,
  );
}
