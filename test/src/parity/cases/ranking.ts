import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluateFiles, recallScores } from '@online-cnclip/evaluation';
import { predictEnsemble } from '@online-cnclip/retrieval';
import { countOf, type ParitySuite, readJson, readLines } from '../case.ts';

/** Percent: the reference's own figures are printed with all their digits. */
const RECALL_TOLERANCE = 1e-9;

interface RankingIds {
  readonly query_ids: readonly number[];
  readonly image_ids: readonly number[];
  readonly weights: readonly number[];
}

const matrixNumber = (file: string): number => Number(/^matrix-(\d+)\.npy$/.exec(file)?.[1]);

export const ranking: ParitySuite = async function* ({ folder }) {
  const root = join(folder, 'ranking');
  const ids = readJson<RankingIds>(root, 'ids.json');
  const files = readdirSync(root).filter((file) => matrixNumber(file) > 0);
  const scratch = mkdtempSync(join(tmpdir(), 'parity-ranking-'));
  try {
    const predictions = join(scratch, 'top10.jsonl');
    await predictEnsemble({
      matrices: files.sort((a, b) => matrixNumber(a) - matrixNumber(b)).map((file) => join(root, file)),
      weights: ids.weights,
      queryIds: ids.query_ids.map(BigInt),
      itemIds: ids.image_ids.map(BigInt),
      predictions,
    });
    const [ours, expected] = [readLines(predictions), readLines(root, 'expected-ensemble-top10.jsonl')];
    const wrong =
      expected.filter((line, i) => line !== ours[i]).length + Math.abs(expected.length - ours.length);
    yield countOf(`ranking: ensemble of ${files.length} matrices, lines of the top 10`, wrong);
    const recall = recallScores(
      await evaluateFiles({ reference: join(root, 'reference.jsonl'), predictions }),
    );
    for (const [name, value] of Object.entries(
      readJson<Record<string, number>>(root, 'expected-recall.json'),
    )) {
      const error = Math.abs(recall[name as keyof typeof recall] - value);
      yield { name: `ranking: ${name}`, error, tolerance: RECALL_TOLERANCE, unit: 'percent' };
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};
