export type { DemoReport, RecallReport } from './report.ts';
