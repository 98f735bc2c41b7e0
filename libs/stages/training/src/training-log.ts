import { closeSync, openSync, writeSync } from 'node:fs';
import type { LogEvent, StepEvent, TrainingEvent, ValidationEvent } from './events.ts';

type Level = LogEvent['level'];

/**
 * The experiment's log: lines to `out_*.log` and to whoever watches. Written synchronously: few short lines, and none
 * is lost when the process is killed.
 */
export class TrainingLog {
  readonly #file: number | undefined;
  readonly #onEvent: (event: TrainingEvent) => void;
  readonly #debug: boolean;
  readonly #rank: number;

  /** @param path absent: no file is written. @param rank only rank 0 says what all do; warnings come from everyone. */
  constructor(path: string | undefined, debug: boolean, onEvent: (event: TrainingEvent) => void, rank = 0) {
    this.#rank = rank;
    this.#file = path === undefined ? undefined : openSync(path, 'a');
    this.#debug = debug;
    this.#onEvent = onEvent;
  }

  info(message: string): void {
    if (this.#rank === 0) this.#write('INFO', message);
  }

  warn(message: string): void {
    this.#write('WARNING', message);
  }

  debug(message: string): void {
    if (this.#debug && this.#rank === 0) this.#write('DEBUG', message);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  #write(level: Level, message: string): void {
    if (this.#file !== undefined)
      writeSync(this.#file, `${logLine(new Date(), level, message, this.#rank)}\n`);
    this.#onEvent({ kind: 'log', level, message });
  }
}

/** `2024-01-31,09:05:00 | INFO | Rank 0 | message`, in local time. The research code writes which replica a line is from. */
export function logLine(at: Date, level: Level, message: string, rank = 0): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day},${time} | ${level} | Rank ${rank} | ${message}`;
}

export interface StepLineContext {
  readonly batchSize: number;
  readonly batchOfEpoch: number;
  readonly stepsPerEpoch: number;
}

/** The research code's line of a training step. */
export function stepLine(event: StepEvent, context: StepLineContext): string {
  const { batchSize, batchOfEpoch, stepsPerEpoch } = context;
  const samples = `${batchOfEpoch * batchSize}/${stepsPerEpoch * batchSize}`;
  const percent = ((100 * batchOfEpoch) / stepsPerEpoch).toFixed(0);
  return [
    `Global Steps: ${event.step}/${event.totalSteps}`,
    `Train Epoch: ${event.epoch} [${samples} (${percent}%)]`,
    `Loss: ${event.loss.toFixed(6)}`,
    ...accuracies(event),
    `Data Time: ${event.dataSeconds.toFixed(3)}s`,
    `Batch Time: ${event.stepSeconds.toFixed(3)}s`,
    `LR: ${event.learningRate.toFixed(6)}`,
    `logit_scale: ${event.logitScale.toFixed(3)}`,
    ...(event.lossScale === undefined
      ? []
      : [`Loss Scale: ${event.lossScale}`, `Skipped Steps: ${event.skippedSteps}`]),
    `Global Batch Size: ${batchSize}`,
  ].join(' | ');
}

/** The research code's line of a validation, then the recall over the gallery. */
export function validationLines(
  event: ValidationEvent,
  logitScale: number,
  batchSize: number,
): readonly string[] {
  const at = `(epoch ${event.epoch} @ ${event.step} steps)`;
  const { recall } = event;
  return [
    [
      `Validation Result ${at}`,
      `Valid Loss: ${event.loss.toFixed(6)}`,
      ...accuracies(event),
      `logit_scale: ${logitScale.toFixed(3)}`,
      `Valid Batch Size: ${batchSize}`,
    ].join(' | '),
    [
      `Validation Recall ${at}`,
      `R@1: ${recall.recallAt1.toFixed(2)}`,
      `R@5: ${recall.recallAt5.toFixed(2)}`,
      `R@10: ${recall.recallAt10.toFixed(2)}`,
      `Mean Recall: ${recall.meanRecall.toFixed(2)}`,
      `Queries: ${recall.queries}`,
      `Gallery: ${recall.gallery}`,
    ].join(' | '),
  ];
}

type Accuracies = Pick<StepEvent, 'imageToTextAccuracy' | 'textToImageAccuracy'>;

function accuracies({ imageToTextAccuracy, textToImageAccuracy }: Accuracies): string[] {
  if (imageToTextAccuracy === undefined || textToImageAccuracy === undefined) return [];
  return [
    `Image2Text Acc: ${(imageToTextAccuracy * 100).toFixed(2)}`,
    `Text2Image Acc: ${(textToImageAccuracy * 100).toFixed(2)}`,
  ];
}
