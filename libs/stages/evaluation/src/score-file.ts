import { messageOf, writeFileAtomically } from '@online-cnclip/foundation';
import type { Recall } from './recall.ts';

/** Recall under the names that Chinese-CLIP's evaluation gives it, in percent. */
export interface RecallScores {
  readonly r1: number;
  readonly r5: number;
  readonly r10: number;
  readonly mean_recall: number;
  readonly queries: number;
}

export const recallScores = (recall: Recall): RecallScores => ({
  r1: recall.recallAt1,
  r5: recall.recallAt5,
  r10: recall.recallAt10,
  mean_recall: recall.meanRecall,
  queries: recall.queries,
});

/** Writes what evaluation.py writes when it succeeds. */
export async function writeScoreFile(path: string, recall: Recall): Promise<void> {
  const { r1, r5, r10, mean_recall } = recallScores(recall);
  const scores = { score: mean_recall, mean_recall, r1, r5, r10 };
  const pairs = Object.entries(scores).map(([name, value]) => `"${name}": ${pythonFloat(value)}`);
  const score = pythonFloat(mean_recall);
  await writeFileAtomically(path, `{"success": true, "score": ${score}, "scoreJson": {${pairs.join(', ')}}}`);
}

/** Writes what it writes when it fails. */
export async function writeFailureFile(path: string, error: unknown): Promise<void> {
  const message = JSON.stringify(messageOf(error));
  await writeFileAtomically(
    path,
    `{"errorDetail": ${message}, "errorMsg": ${message}, "score": 0, "scoreJson": {}, "success": false}`,
  );
}

const pythonFloat = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));
