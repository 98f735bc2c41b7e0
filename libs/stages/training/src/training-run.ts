import type { StepEvent, TrainingEvent, TrainingResult } from './events.ts';
import type { OpenedTraining } from './open-training.ts';
import { Pace } from './pace.ts';
import type { Batch } from './pair-loader.ts';
import type { RecallPort } from './ports.ts';
import { epochCheckpoint, stepCheckpoint } from './run-files.ts';
import { DECAY_EVERY_STEPS, learningRateAt, type Schedule } from './schedule.ts';
import type { TrainStepResult } from './train-step.ts';
import { stepLine, validationLines } from './training-log.ts';
import { validate } from './validation.ts';

/** The loop over epochs and steps of one run. Steps are counted over all epochs: their number is the position. */
export class TrainingRun {
  readonly #opened: OpenedTraining;
  readonly #recall: RecallPort;
  readonly #onEvent: (event: TrainingEvent) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #schedule: Schedule;
  readonly #pace = new Pace();
  #step: number;
  #last: TrainStepResult | undefined;
  #savedAt: number;
  #validatedAt = -1;
  #checkpoint: string | undefined;
  #isStopping = false;

  constructor(
    opened: OpenedTraining,
    recall: RecallPort,
    onEvent: (event: TrainingEvent) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#opened = opened;
    this.#recall = recall;
    this.#onEvent = onEvent;
    this.#signal = signal;
    this.#step = opened.startStep;
    this.#savedAt = opened.startStep;
    this.#schedule = {
      baseLearningRate: opened.options.lr,
      warmupSteps: opened.options.warmup,
      totalSteps: opened.totalSteps,
      decayEverySteps: DECAY_EVERY_STEPS,
    };
  }

  async run(): Promise<TrainingResult> {
    const { totalSteps, log } = this.#opened;
    await this.#agreeOnStopping();
    while (this.#step < totalSteps && !this.#stopped) {
      const epoch = Math.floor(this.#step / this.#stepsPerEpoch) + 1;
      log.debug(`Start epoch ${epoch}`);
      await this.#trainEpoch(epoch);
      if (this.#step === this.#endOf(epoch)) await this.#endEpoch(epoch);
    }
    if (this.#step > this.#savedAt) await this.#saveStopped();
    return {
      outcome: this.#step >= totalSteps ? 'completed' : 'stopped',
      step: this.#step,
      epoch: this.#epoch,
      ...(this.#last && { loss: this.#last.loss }),
      ...(this.#checkpoint !== undefined && { checkpoint: this.#checkpoint }),
    };
  }

  /** Replicas stop after the same step, which they agree on: no signal reaches all in the same moment. */
  async #agreeOnStopping(): Promise<void> {
    const { collectives } = this.#opened;
    const votes = Float32Array.of(this.#signal?.aborted ? 1 : 0);
    await collectives.allReduceSum(votes);
    this.#isStopping = votes[0] !== 0;
  }

  get #stopped(): boolean {
    return this.#isSingle ? (this.#signal?.aborted ?? false) : this.#isStopping;
  }

  get #isSingle(): boolean {
    return this.#opened.collectives.worldSize === 1;
  }

  get #globalBatch(): number {
    return this.#opened.options.batchSize * this.#opened.collectives.worldSize;
  }

  get #stepsPerEpoch(): number {
    return this.#opened.loader.batchesPerEpoch;
  }

  /** Steps done at the end of an epoch, from 1; the last one may end early. */
  #endOf(epoch: number): number {
    return Math.min(this.#opened.totalSteps, epoch * this.#stepsPerEpoch);
  }

  /** From 1: the epoch of the last step. */
  get #epoch(): number {
    return Math.max(1, Math.ceil(this.#step / this.#stepsPerEpoch));
  }

  async #trainEpoch(epoch: number): Promise<void> {
    const { loader, options, totalSteps, log } = this.#opened;
    const before = (epoch - 1) * this.#stepsPerEpoch;
    let end = performance.now();
    for await (const batch of loader.batches(epoch - 1, this.#step - before, this.#endOf(epoch) - before)) {
      const dataSeconds = (performance.now() - end) / 1000;
      const result = await this.#trainStep(batch);
      this.#pace.add({ dataSeconds, stepSeconds: (performance.now() - end) / 1000 });
      log.debug(`step ${this.#step}: loss ${result.loss}, waited ${dataSeconds.toFixed(3)}s for its data`);
      if (this.#step % options.logInterval === 0 || this.#step === totalSteps) this.#report(result);
      await this.#agreeOnStopping();
      await this.#afterStep();
      if (this.#stopped) return;
      end = performance.now();
    }
    if (this.#step >= totalSteps)
      log.info(`Stopping training due to step ${this.#step} has reached max_steps ${totalSteps}`);
  }

  async #trainStep({ images, inputIds }: Batch): Promise<TrainStepResult> {
    const result = await this.#opened.step.run(images, inputIds, this.#learningRate(this.#step));
    this.#step++;
    this.#last = result;
    return result;
  }

  #learningRate(step: number): number {
    const { options } = this.#opened;
    return options.skipScheduler ? options.lr : learningRateAt(this.#schedule, step);
  }

  #report(result: TrainStepResult): void {
    const { options, totalSteps, log } = this.#opened;
    const { dataSeconds, stepSeconds } = this.#pace.takeReport();
    const event: StepEvent = {
      kind: 'step',
      step: this.#step,
      totalSteps,
      epoch: this.#epoch,
      totalEpochs: this.#opened.totalEpochs,
      loss: result.loss,
      learningRate: this.#learningRate(this.#step - 1),
      logitScale: result.logitScale,
      ...(options.reportTrainingBatchAcc && {
        imageToTextAccuracy: result.imageToTextAccuracy,
        textToImageAccuracy: result.textToImageAccuracy,
      }),
      ...(result.lossScale && {
        lossScale: result.lossScale.scale,
        skippedSteps: result.lossScale.skippedSteps,
      }),
      dataSeconds,
      stepSeconds,
      pairsPerSecond: this.#globalBatch / stepSeconds,
      etaSeconds: (totalSteps - this.#step) * this.#pace.secondsPerStep,
    };
    log.info(
      stepLine(event, {
        batchSize: this.#globalBatch,
        batchOfEpoch: this.#step - (this.#epoch - 1) * this.#stepsPerEpoch,
        stepsPerEpoch: this.#stepsPerEpoch,
      }),
    );
    this.#onEvent(event);
  }

  /** Saves first: a validation that fails or is killed then costs no training. */
  async #afterStep(): Promise<void> {
    const { saveStepFrequency, validStepInterval } = this.#opened.options;
    if (saveStepFrequency > 0 && this.#step % saveStepFrequency === 0)
      await this.#save([stepCheckpoint(this.#epoch, this.#step)]);
    if (validStepInterval !== null && this.#step % validStepInterval === 0) await this.#validate();
  }

  async #endEpoch(epoch: number): Promise<void> {
    const { totalEpochs, options } = this.#opened;
    const { saveEpochFrequency, validEpochInterval } = options;
    const keep = epoch === totalEpochs || (saveEpochFrequency > 0 && epoch % saveEpochFrequency === 0);
    await this.#save(keep ? [epochCheckpoint(epoch)] : []);
    if (validEpochInterval !== null && epoch % validEpochInterval === 0) await this.#validate();
  }

  async #saveStopped(): Promise<void> {
    this.#opened.log.info(`Stopping training at step ${this.#step} as asked`);
    await this.#save([]);
  }

  async #save(names: readonly string[]): Promise<void> {
    const { checkpoints, step, log } = this.#opened;
    if (!checkpoints) return;
    const position = {
      epoch: this.#epoch,
      step: this.#step,
      stepsPerEpoch: this.#stepsPerEpoch,
      learningRate: this.#learningRate(this.#step - 1),
    };
    for (const event of await checkpoints.save(step, position, names)) {
      log.info(
        `Saved checkpoint ${event.path} (epoch ${event.epoch} @ ${event.step} steps) (writing took ${event.seconds.toFixed(3)} seconds)`,
      );
      this.#checkpoint = event.path;
      this.#onEvent(event);
    }
    this.#savedAt = this.#step;
  }

  async #validate(): Promise<void> {
    const { validation, step, options, log } = this.#opened;
    if (!validation || !this.#last || this.#stopped || this.#validatedAt === this.#step) return;
    const startedAt = performance.now();
    log.info(`Begin to eval on validation set (epoch ${this.#epoch} @ ${this.#step} steps)...`);
    const { validBatchSize: batchSize, seed } = options;
    const { logitScale } = this.#last;
    const result = await validate(step, validation, this.#recall, {
      batchSize,
      seed,
      logitScale,
      // One replica that broke off would leave the others waiting.
      signal: this.#isSingle ? this.#signal : undefined,
      collectives: this.#opened.collectives,
    }).catch((error: unknown) => {
      // Asked to stop in the middle: the run ends by itself, this validation is left out.
      if (!this.#stopped) throw error;
    });
    if (!result) return;
    this.#validatedAt = this.#step;
    const event = {
      kind: 'validation' as const,
      step: this.#step,
      epoch: this.#epoch,
      ...result,
      seconds: (performance.now() - startedAt) / 1000,
    };
    for (const line of validationLines(event, logitScale, batchSize)) log.info(line);
    this.#onEvent(event);
  }
}
