import { open } from 'node:fs/promises';
import { replaceFileAtomically } from '@online-cnclip/foundation';

/** Items of one query, best first. */
export interface Prediction {
  readonly queryId: bigint;
  readonly itemIds: readonly bigint[];
}

/** Takes predictions in the order they are to stand in. */
export type PredictionSink = (predictions: readonly Prediction[]) => Promise<void>;

/**
 * Writes a file of predictions as the research code does: `{"query_id": 1, "item_ids": [2, 3]}` per line. The path holds the
 * old file or, once `work` has resolved, the whole new one.
 */
export async function writePredictions(
  path: string,
  work: (sink: PredictionSink) => Promise<void>,
): Promise<void> {
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'wx');
    try {
      await work(async (predictions) => {
        await file.writeFile(predictions.map(formatPrediction).join(''));
      });
    } finally {
      await file.close();
    }
  });
}

const formatPrediction = ({ queryId, itemIds }: Prediction): string =>
  `{"query_id": ${queryId}, "item_ids": [${itemIds.join(', ')}]}\n`;
