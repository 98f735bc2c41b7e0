import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, NotFoundError } from '@online-cnclip/foundation';
import { createOnnxRuntime, type Runtime } from '@online-cnclip/runtime';
import type { ParityResult, ParitySuite, SkippedCase } from './case.ts';
import { augmentation } from './cases/augmentation.ts';
import { dataset } from './cases/dataset.ts';
import { model } from './cases/model.ts';
import { online } from './cases/online.ts';
import { preprocessing } from './cases/preprocessing.ts';
import { ranking } from './cases/ranking.ts';
import { schedule } from './cases/schedule.ts';
import { tokenizer } from './cases/tokenizer.ts';
import { training } from './cases/training.ts';

const SUITES: Readonly<Record<string, ParitySuite>> = {
  tokenizer,
  preprocessing,
  augmentation,
  dataset,
  model,
  schedule,
  training,
  online,
  ranking,
};

/** Folders that a golden set of the same layout, made earlier, does not have. */
const LATER = ['online'];

export interface FailedSuite {
  readonly name: string;
  readonly failure: string;
}

/**
 * Runs the suite of every folder in a golden set; a folder that no suite knows is a failure, not an omission.
 *
 * @param given what computes; absent: onnxruntime, for this run only.
 */
export async function* runParity(
  folder: string,
  given?: Runtime,
): AsyncIterable<ParityResult | SkippedCase | FailedSuite> {
  if (!existsSync(folder)) throw new NotFoundError('no such golden folder', { place: folder });
  const present = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  const runtime = given ?? createOnnxRuntime();
  try {
    for (const name of present) {
      const suite = SUITES[name];
      if (!suite) yield { name, failure: `no comparison is written for ${join(folder, name)}` };
      else yield* guarded(name, suite({ folder, runtime }));
    }
    for (const name of LATER)
      if (!present.includes(name)) yield { name, skipped: `${folder} has no folder ${name}/` };
  } finally {
    if (!given) await runtime.dispose();
  }
}

async function* guarded(
  name: string,
  results: AsyncIterable<ParityResult | SkippedCase>,
): AsyncIterable<ParityResult | SkippedCase | FailedSuite> {
  try {
    yield* results;
  } catch (error) {
    yield { name, failure: messageOf(error) };
  }
}
