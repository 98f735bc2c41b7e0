// Peak memory of training 16 pairs against 256, both in micro-batches of 16, each in a process of its own.
import { ReplicaProcesses } from '../../replicas/replica-processes.ts';
import { serve, threads } from '../serve.ts';

const MICRO_BATCH = 16;
const LARGE_BATCH = 256;
/** The first step has the peak already. */
const STEPS = 1;

async function peakGb(globalBatch: number): Promise<number> {
  const group = await ReplicaProcesses.start({
    worldSize: 1,
    threads,
    globalBatch,
    microBatchSize: MICRO_BATCH,
    visionModel: 'ViT-mini-8-48',
    textModel: 'RoBERTa-mini-chinese',
  });
  const [done] = await group.train(STEPS);
  await group.end();
  return done?.peakGb ?? Number.NaN;
}

await serve(async () => {
  const small = await peakGb(MICRO_BATCH);
  return (await peakGb(LARGE_BATCH)) / small;
});
