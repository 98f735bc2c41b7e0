export * from './predictions/data-folder.ts';
export * from './predictions/ensemble.ts';
export * from './predictions/predict-ensemble.ts';
export * from './predictions/predict-single.ts';
export type { Prediction } from './predictions/prediction-file.ts';
