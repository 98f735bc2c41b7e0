export * from './train-step.ts';
