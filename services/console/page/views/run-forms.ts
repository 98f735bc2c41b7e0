import type { AdaptationForm, RunForm } from '../../src/wire.ts';
import type { MessageKey } from '../language.ts';

/** `decimal` is any number, `number` a whole one. */
type FieldKind = 'text' | 'number' | 'decimal';

export interface FormField {
  readonly key: string;
  readonly label: MessageKey;
  readonly kind: FieldKind;
  readonly required?: boolean;
  readonly placeholder?: string;
}

/** A form whose answer is a run; a field that is left empty has the trainer's default. */
export interface RunFormDefinition {
  readonly title: MessageKey;
  readonly hint: MessageKey;
  /** Where it is sent. */
  readonly path: string;
  readonly fields: readonly FormField[];
  readonly choices: readonly {
    readonly key: string;
    readonly label: MessageKey;
    readonly values: readonly string[];
  }[];
}

type Keyed<F> = FormField & { readonly key: keyof F & string };

const MODELS = [
  { key: 'visionModel', label: 'visionModel', kind: 'text', placeholder: 'ViT-B-16' },
  { key: 'textModel', label: 'textModel', kind: 'text', placeholder: 'RoBERTa-wwm-ext-base-chinese' },
] as const;
const STEP = [
  { key: 'batchSize', label: 'batchSize', kind: 'number' },
  { key: 'contextLength', label: 'contextLength', kind: 'number' },
  { key: 'learningRate', label: 'learningRate', kind: 'decimal' },
  { key: 'warmup', label: 'warmup', kind: 'number' },
] as const;
const CHOICES = [
  { key: 'loss', label: 'loss', values: ['dsl', 'clip'] },
  { key: 'optimizer', label: 'optimizer', values: ['lamb', 'adamw'] },
] as const;

const TRAINING_FIELDS: readonly Keyed<RunForm>[] = [
  {
    key: 'trainData',
    label: 'trainData',
    kind: 'text',
    required: true,
    placeholder: 'datasets/emoji/lmdb/train',
  },
  { key: 'valData', label: 'valData', kind: 'text', placeholder: 'datasets/emoji/lmdb/valid' },
  { key: 'name', label: 'runName', kind: 'text' },
  { key: 'resume', label: 'resumeFrom', kind: 'text' },
  ...MODELS,
  { key: 'maxEpochs', label: 'maxEpochs', kind: 'number' },
  { key: 'maxSteps', label: 'maxSteps', kind: 'number' },
  ...STEP,
  { key: 'validStepInterval', label: 'validStepInterval', kind: 'number' },
];

const ADAPTATION_FIELDS: readonly Keyed<AdaptationForm>[] = [
  { key: 'model', label: 'startModel', kind: 'text', required: true },
  {
    key: 'queries',
    label: 'scoredQueries',
    kind: 'text',
    required: true,
    placeholder: 'datasets/emoji/unseen_texts.jsonl',
  },
  { key: 'maxEpochs', label: 'maxEpochs', kind: 'number', required: true },
  { key: 'onlineQueries', label: 'onlineQueries', kind: 'text' },
  { key: 'name', label: 'runName', kind: 'text' },
  ...MODELS,
  { key: 'imagesPerQuery', label: 'imagesPerQuery', kind: 'number' },
  ...STEP,
  { key: 'trainData', label: 'replayData', kind: 'text' },
  { key: 'replayRatio', label: 'replayRatio', kind: 'decimal' },
  { key: 'gateData', label: 'gateData', kind: 'text' },
  { key: 'gateMaxDrop', label: 'gateMaxDrop', kind: 'text', placeholder: '10%' },
];

export const TRAINING_FORM: RunFormDefinition = {
  title: 'startRun',
  hint: 'runFormHint',
  path: '/api/runs',
  fields: TRAINING_FIELDS,
  choices: CHOICES,
};

export const ADAPTATION_FORM: RunFormDefinition = {
  title: 'startAdaptation',
  hint: 'adaptationHint',
  path: '/api/adaptations',
  fields: ADAPTATION_FIELDS,
  choices: [...CHOICES, { key: 'onlineScope', label: 'onlineScope', values: ['all', 'exclude-scored'] }],
};
