import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '@online-cnclip/checkpoint';
import { AUGMENTATION_OPERATIONS, decodeImage, ORIGINAL_POLICY } from '@online-cnclip/preprocessing';
import { countOf, type ParitySuite, readJson } from '../case.ts';
import { levels } from './preprocessing.ts';

const MEAN_TOLERANCE = 0.5;

interface GoldenStep {
  readonly op: string;
  readonly prob: number;
  readonly magnitude: number;
}

export const augmentation: ParitySuite = async function* ({ folder }) {
  const root = join(folder, 'augmentation');
  const policy = readJson<GoldenStep[][]>(root, 'policy.json');
  const ours = ORIGINAL_POLICY.map((steps) =>
    steps.map(({ name, probability, magnitude }) => ({ op: name, prob: probability, magnitude })),
  );
  const wrong = policy.filter((steps, i) => JSON.stringify(steps) !== JSON.stringify(ours[i])).length;
  yield countOf("augmentation: policy 'original'", wrong + Math.abs(policy.length - ours.length));
  const { width, height, data } = await decodeImage(readFileSync(join(root, 'source.png')));
  const source = { width, height, data: data as Uint8Array };
  for (const [key, expected] of await readSafetensors(join(root, 'expected.safetensors'))) {
    const [name = '', , argument] = key.split('|');
    const operation = AUGMENTATION_OPERATIONS[name as keyof typeof AUGMENTATION_OPERATIONS];
    if (!operation) throw new Error(`the golden operation ${name} does not exist`);
    const { mean } = levels(operation.apply(source, Number(argument)).data, expected.data as Uint8Array);
    yield { name: `augmentation/${key}`, error: mean, tolerance: MEAN_TOLERANCE, unit: 'levels' };
  }
};
