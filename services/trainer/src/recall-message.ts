import type { RecallMetrics } from '@online-cnclip/contracts/common/v1';
import type { Recall } from '@online-cnclip/training';

export function recallMessage(recall: Recall): RecallMetrics {
  return { ...recall, queries: BigInt(recall.queries), gallery: BigInt(recall.gallery) };
}
