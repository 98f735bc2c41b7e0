import { LoadModelRequest } from '@online-cnclip/contracts/encoder/v1';
import type { Gallery, Trial } from '../galleries.ts';
import type { RecallReport, TestReports } from '../report.ts';
import { type JobContext, timed } from './context.ts';
import { type EncodedGallery, encodeGallery, fillIndex, rankTrial } from './ranking.ts';
import { CONTEXT_LENGTH, TEXT_MODEL, VISION_MODEL } from './training.ts';

export interface RankedTrials {
  readonly reports: TestReports;
  readonly encodeSeconds: number;
  readonly rankSeconds: number;
}

/**
 * Fills the indexes with what the encoder makes of the galleries, and ranks every trial.
 *
 * @param checkpoint that the encoder is to load before; absent: it serves the right one.
 */
export async function rankTrials(
  context: JobContext,
  trials: readonly Trial[],
  checkpoint?: string,
): Promise<RankedTrials> {
  const galleries = [...new Set(trials.map(({ gallery }) => gallery))];
  const [encoded, encodeSeconds] = await timed(async () => {
    if (checkpoint !== undefined) await loadModel(context, checkpoint);
    const vectors: [Gallery, EncodedGallery][] = [];
    for (const gallery of galleries) vectors.push([gallery, await encodeGallery(context, gallery)]);
    return vectors;
  });
  const [reports, rankSeconds] = await timed(async () => {
    for (const [{ index }, vectors] of encoded) await fillIndex(context, index, vectors);
    const reports = {} as Record<Trial['test'], RecallReport>;
    for (const trial of trials) reports[trial.test] = await rankTrial(context, trial);
    return reports;
  });
  return { reports, encodeSeconds, rankSeconds };
}

async function loadModel({ clients, signal }: JobContext, checkpointPath: string): Promise<void> {
  const request = LoadModelRequest.fromPartial({
    checkpointPath,
    visionModel: VISION_MODEL,
    textModel: TEXT_MODEL,
    contextLength: CONTEXT_LENGTH,
  });
  await clients.encoder.loadModel(request, { signal });
}
