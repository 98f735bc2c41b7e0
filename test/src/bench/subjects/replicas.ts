// Two replicas with one thread each, 64 pairs a step: ViT-mini-8-48 + RoBERTa-mini over Gloo on the loopback. `rate` in pairs/s, with AdamW as
// torch's DDP beside it; `ratio` against one replica with two threads and the same pairs, with LAMB. Needs libgloo.
import { ReplicaProcesses } from '../../replicas/replica-processes.ts';
import { serve } from '../serve.ts';

const STEPS = 5;
const MODEL = { visionModel: 'ViT-mini-8-48', textModel: 'RoBERTa-mini-chinese', globalBatch: 64 };
const isRatio = process.argv[2] === 'ratio';
const optimizer = isRatio ? 'lamb' : 'adamw';
const two = await ReplicaProcesses.start({ ...MODEL, optimizer, worldSize: 2, threads: 1 });
const one = isRatio ? await ReplicaProcesses.start({ ...MODEL, optimizer, worldSize: 1, threads: 2 }) : null;

async function secondsOf(group: ReplicaProcesses): Promise<number> {
  const replicas = await group.train(STEPS);
  return Math.max(...replicas.map(({ seconds }) => seconds));
}

await serve(
  async () => {
    const seconds = await secondsOf(two);
    return one ? (await secondsOf(one)) / seconds : (STEPS * MODEL.globalBatch) / seconds;
  },
  async () => {
    await one?.end();
    await two.end();
  },
);
