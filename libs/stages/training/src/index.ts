export type * from './events.ts';
export {
  describeTrainingOptions,
  parseTrainingOptions,
  TRAINING_OPTION_NAMES,
  type TrainingOptions,
  trainingOptionSchemas,
} from './options.ts';
export type { Recall, RecallPort, RecallRequest, TrainingPorts } from './ports.ts';
export { checkTrainingInputs } from './preflight.ts';
export { LATEST_CHECKPOINT } from './run-files.ts';
export { DECAY_EVERY_STEPS, learningRateAt, type Schedule } from './schedule.ts';
export { createTrainStep } from './step/create-train-step.ts';
export { type TrainHooks, train } from './train.ts';
export type * from './train-step.ts';
