// Peak memory of training 16 pairs a step against 256, both in micro-batches of 16, each in a process of its own and for as many pairs in all.
import { ReplicaProcesses } from '../../replicas/replica-processes.ts';
import { serve, threads } from '../serve.ts';

const MICRO_BATCH = 16;
const LARGE_BATCH = 256;
/** In this many V8's heap has grown as large as it gets, which is not the batch's doing, on both sides. */
const PAIRS = 2048;

async function peakGb(globalBatch: number): Promise<number> {
  const group = await ReplicaProcesses.start({
    worldSize: 1,
    threads,
    globalBatch,
    microBatchSize: MICRO_BATCH,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
  });
  const [done] = await group.train(PAIRS / globalBatch);
  await group.end();
  return done?.peakGb ?? Number.NaN;
}

await serve(async () => {
  const small = await peakGb(MICRO_BATCH);
  return (await peakGb(LARGE_BATCH)) / small;
});
