import { writeFileAtomically } from '@online-cnclip/foundation';
import { formatSeconds } from './progress.ts';

/** Recall in percent of one test; null where it has no query. */
export interface RecallReport {
  readonly r1: number | null;
  readonly r5: number | null;
  readonly r10: number | null;
  readonly mean_recall: number | null;
  readonly queries: number;
  /** Pictures ranked. */
  readonly gallery: number;
}

export const STAGES = ['setup', 'dataset', 'train', 'encode', 'rank'] as const;
export type Stage = (typeof STAGES)[number];

/** What `report.json` holds. */
export interface DemoReport {
  readonly offline: { readonly seen: RecallReport; readonly unseen: RecallReport };
  /** Wall time; 0 for a stage that had nothing to do. */
  readonly seconds: Readonly<Record<Stage, number>>;
}

export async function writeReport(path: string, report: DemoReport): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(report, null, 2)}\n`);
}

const TESTS = [
  ['seen', 'seen concepts, unseen rendering'],
  ['unseen', 'unseen concepts'],
] as const;
const NAME_WIDTH = 33;
const COLUMN_WIDTH = 9;

/** The report for a person: a line per test, the two never averaged, and where the time went. */
export function formatReport({ offline, seconds }: DemoReport): string {
  const header = row('text-to-image recall, percent', ['R@1', 'R@5', 'R@10', 'mean', 'queries', 'gallery']);
  const tests = TESTS.map(([key, title]) => {
    const { r1, r5, r10, mean_recall, queries, gallery } = offline[key];
    return row(title, [...[r1, r5, r10, mean_recall].map(percent), String(queries), String(gallery)]);
  });
  const rule = '-'.repeat(header.length);
  const total = STAGES.reduce((sum, stage) => sum + seconds[stage], 0);
  const times = STAGES.map((stage) => `${stage} ${formatSeconds(seconds[stage])}`).join(' · ');
  return [rule, header, rule, ...tests, rule, `${times} · together ${formatSeconds(total)}`].join('\n');
}

const row = (name: string, cells: readonly string[]): string =>
  name.padEnd(NAME_WIDTH) + cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join('');

const percent = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
