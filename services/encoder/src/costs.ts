import type { EncodeRequest, EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import type { ModelHost } from '@online-cnclip/encoding';
import { Budget, type BudgetLimits, type Charge, type Costs, chargeTo } from '@online-cnclip/service-kit';

/**
 * Four runs of the text tower: it never waits for texts, and a newcomer waits a second at most for those of others. Over
 * half a minute of work may wait (base: 0.55 ms a token); a caller is better told to come back later than kept longer.
 */
const TEXTS: BudgetLimits = { name: 'texts', unit: 'tokens', maxRunning: 2_048, maxWaiting: 65_536 };

/** Some 32 photos: one run being computed, the next ones being decoded. Four of the largest messages may wait. */
const IMAGES: BudgetLimits = {
  name: 'images',
  unit: 'bytes',
  maxRunning: 8 * 1024 * 1024,
  maxWaiting: 256 * 1024 * 1024,
};

/** [CLS] and [SEP]. */
const FRAME_TOKENS = 2;

/** However small its file, an image is decoded and computed: what a photo of a shop has. */
const MIN_IMAGE_BYTES = 128 * 1024;

/** The calls of EncoderService by what they cost: texts by tokens, images by bytes, each from a budget of its own. */
export function encoderCosts(host: Pick<ModelHost, 'contextLength'>): Costs<typeof EncoderServiceService> {
  const [texts, images] = [new Budget(TEXTS), new Budget(IMAGES)];
  // Known before a text is tokenized, and never too low: a token has at least one character.
  const tokensOf = (text: string) => Math.min(text.length + FRAME_TOKENS, host.contextLength);
  const bytesOf = (file: Uint8Array) => Math.max(MIN_IMAGE_BYTES, file.byteLength);
  const chargeItem = ({ item }: EncodeRequest): Charge =>
    item?.$case === 'image'
      ? { budget: images, cost: bytesOf(item.value) }
      : { budget: texts, cost: tokensOf(item?.value ?? '') };
  return {
    encodeText: chargeTo(texts, (request) => sum(request.texts.map(tokensOf))),
    encodeImage: chargeTo(images, (request) => sum(request.images.map(bytesOf))),
    encode: { budgets: [texts, images], chargeOf: chargeItem, heldUntil: 'released' },
  };
}

const sum = (costs: readonly number[]): number => costs.reduce((total, cost) => total + cost, 0);
