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

/** The recalls of both tests with one model. */
export type TestReports = Readonly<Record<'seen' | 'unseen', RecallReport>>;

export interface CrawlReport {
  readonly queries: number;
  /** Queries that an earlier run has crawled. */
  readonly cached: number;
  readonly images: number;
  /** Queries that the shop has nothing for. */
  readonly no_results: number;
  /** Queries that ended with a failure, or were put off. */
  readonly failed: number;
  readonly seconds: number;
}

/** Mean recall of the held-out gate set, in percent, and what came of it. */
export interface GateReport {
  readonly before: number;
  readonly after: number;
  /** The largest fall with which the adapted model is still served: points, or a share like `10%`. */
  readonly max_drop: string;
  readonly passed: boolean;
}

/** What learning online came to. Absent where a folder of the user's is ranked. */
export interface OnlineReport {
  readonly crawl: CrawlReport;
  readonly gate: GateReport;
  /** Of the model that is served in the end: the adapted one, if the gate let it pass. */
  readonly online: TestReports;
}

export const STAGES = ['setup', 'dataset', 'train', 'encode', 'rank'] as const;
export const ONLINE_STAGES = ['log_in', 'crawl', 'adapt', 'encode_online', 'rank_online'] as const;
export type Stage = (typeof STAGES)[number];
export type OnlineStage = (typeof ONLINE_STAGES)[number];

/** What `report.json` holds. */
export interface DemoReport extends Partial<OnlineReport> {
  readonly offline: TestReports;
  /** Wall time; 0 for a stage that had nothing to do. */
  readonly seconds: Readonly<Record<Stage, number>> & Partial<Readonly<Record<OnlineStage, number>>>;
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

/** The report for a person: a line per test and model, the two tests never averaged, and where the time went. */
export function formatReport({ offline, online, crawl, gate, seconds }: DemoReport): string {
  const header = row('text-to-image recall, percent', ['R@1', 'R@5', 'R@10', 'mean', 'queries', 'gallery']);
  const rule = '-'.repeat(header.length);
  const tests = TESTS.flatMap(([key, title]) => [
    recallRow(title, offline[key]),
    ...(online ? [recallRow('  after learning online', online[key])] : []),
  ]);
  return [
    ...[rule, header, rule, ...tests, rule],
    ...(crawl ? [formatCrawl(crawl)] : []),
    ...(gate ? [formatGate(gate)] : []),
    formatTimes(seconds),
  ].join('\n');
}

function formatCrawl({ queries, cached, images, no_results, failed, seconds }: CrawlReport): string {
  const rest = `${cached} from the cache, ${no_results} without results, ${failed} failed`;
  return `crawl: ${images} images for ${queries} queries (${rest}) in ${formatSeconds(seconds)}`;
}

function formatGate({ before, after, max_drop, passed }: GateReport): string {
  const verdict = passed ? 'the adapted model is served' : 'refused: the model of before stays';
  const limit = `a fall of up to ${max_drop} allowed`;
  return `gate: mean recall ${before.toFixed(1)} before, ${after.toFixed(1)} after, ${limit}: ${verdict}`;
}

function formatTimes(seconds: DemoReport['seconds']): string {
  const stages = [...STAGES, ...ONLINE_STAGES].filter((stage) => seconds[stage] !== undefined);
  const total = stages.reduce((sum, stage) => sum + (seconds[stage] ?? 0), 0);
  const times = stages.map((stage) => `${stage.replace('_', ' ')} ${formatSeconds(seconds[stage] ?? 0)}`);
  return `${times.join(' · ')} · together ${formatSeconds(total)}`;
}

function recallRow(title: string, { r1, r5, r10, mean_recall, queries, gallery }: RecallReport): string {
  return row(title, [...[r1, r5, r10, mean_recall].map(percent), String(queries), String(gallery)]);
}

const row = (name: string, cells: readonly string[]): string =>
  name.padEnd(NAME_WIDTH) + cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join('');

const percent = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
