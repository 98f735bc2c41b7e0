export * from './evaluate.ts';
export * from './rankings.ts';
export * from './recall.ts';
export * from './recall-from-features.ts';
export { type RecallScores, recallScores } from './score-file.ts';
