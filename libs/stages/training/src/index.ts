export type * from './events.ts';
export { adapt } from './online/adapt.ts';
export {
  ADAPT_OPTION_NAMES,
  type AdaptOptions,
  adaptOptionSchemas,
  parseAdaptOptions,
} from './online/adapt-options.ts';
export type * from './online/adapt-ports.ts';
export { type CacheSplit, openCachedImages } from './online/cached-images.ts';
export {
  type ImageAnswer,
  type ImageQuery,
  type ImageSource,
  type ImageSourceMode,
  MISSING,
  offlineImages,
} from './online/image-source.ts';
export type * from './online/online-events.ts';
export { type MaxDrop, maxDropText, ONLINE_SCOPES, type OnlineScope } from './online/online-options.ts';
export { leftOutText } from './online/online-totals.ts';
export { checkAdaptInputs } from './online/open-adaptation.ts';
export {
  describeTrainingOptions,
  parseTrainingOptions,
  TRAINING_OPTION_NAMES,
  type TrainingOptions,
  trainingOptionSchemas,
} from './options.ts';
export type { Recall, RecallPort, RecallRequest, TrainingPorts } from './ports.ts';
export { checkTrainingInputs, tryTrainingInputs } from './preflight.ts';
export type { Gathering, RendezvousPort, ReplicaPorts, ReplicaState } from './replicas/ports.ts';
export { LATEST_CHECKPOINT } from './run-files.ts';
export { DECAY_EVERY_STEPS, learningRateAt, type Schedule } from './schedule.ts';
export { createTrainStep } from './step/create-train-step.ts';
export { type TrainHooks, train } from './train.ts';
export type * from './train-step.ts';
