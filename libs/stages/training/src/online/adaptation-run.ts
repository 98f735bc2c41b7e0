import { DECAY_EVERY_STEPS, learningRateAt, type Schedule } from '../schedule.ts';
import type { TrainStepResult } from '../train-step.ts';
import { recallOf } from '../validation.ts';
import type { AdaptEvent, AdaptHooks, AdaptResult } from './adapt-ports.ts';
import { type TextFeatures, writeAdaptedCheckpoint, writeTextFeatures } from './adaptation-files.ts';
import { judge } from './gate.ts';
import { type OnlineBatch, onlineBatches } from './online-batches.ts';
import type { GateEvent } from './online-events.ts';
import { maxDropText } from './online-options.ts';
import { countsOf, leftOutText, OnlineTotals } from './online-totals.ts';
import type { OpenedAdaptation } from './open-adaptation.ts';
import { chunks, plannedBatches } from './query-plan.ts';

/** The loop over epochs and batches of queries, then the gate, then the files. */
export class AdaptationRun {
  readonly #opened: OpenedAdaptation;
  readonly #signal: AbortSignal | undefined;
  readonly #onEvent: (event: AdaptEvent) => void;
  readonly #schedule: Schedule;
  readonly #stepsPerEpoch: number;
  readonly #totals = new OnlineTotals();
  readonly #features: Float32Array[] = [];
  #step = 0;
  #last: TrainStepResult | undefined;

  constructor(opened: OpenedAdaptation, { signal, onEvent = () => {} }: AdaptHooks) {
    this.#opened = opened;
    this.#signal = signal;
    this.#onEvent = onEvent;
    const { options, texts } = opened;
    this.#stepsPerEpoch = Math.ceil(texts.length / options.batchSize);
    this.#schedule = {
      baseLearningRate: options.lr,
      warmupSteps: options.warmup,
      totalSteps: this.#stepsPerEpoch * options.maxEpochs,
      decayEverySteps: DECAY_EVERY_STEPS,
    };
  }

  async run(): Promise<AdaptResult> {
    const before = await this.#unlessStopped(() => this.#recall());
    if (!this.#stopped) await this.#unlessStopped(() => this.#train());
    if (this.#stopped || this.#step < this.#schedule.totalSteps) return this.#result('stopped');
    const gate = before && (await this.#unlessStopped(() => this.#judge(before.recall, before.seconds)));
    if (this.#stopped) return this.#result('stopped');
    if (gate && !gate.passed) return { ...this.#result('rejected'), gate };
    return { ...this.#result('completed'), ...(await this.#save()), ...(gate && { gate }) };
  }

  get #stopped(): boolean {
    return this.#signal?.aborted ?? false;
  }

  get #epoch(): number {
    return Math.max(1, Math.ceil(this.#step / this.#stepsPerEpoch));
  }

  /** Asked to stop in the middle of reading ahead: the run ends by itself. */
  async #unlessStopped<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!this.#stopped) throw error;
      return undefined;
    }
  }

  async #train(): Promise<void> {
    const { options, images, texts, replay, decode, encode, resolution } = this.#opened;
    const { batchSize, imagesPerQuery, maskDuplicates, replayRatio, seed } = options;
    const plan = plannedBatches(texts, { batchSize, epochs: options.maxEpochs, imagesPerQuery });
    const batches = onlineBatches(plan, {
      source: images,
      decode,
      encode,
      resolution,
      imagesPerQuery,
      maskDuplicates,
      seed,
      replay: replay && { pairs: replay, ratio: replayRatio, from: 0 },
      signal: this.#signal,
    });
    let end = performance.now();
    for await (const batch of batches) {
      const waitSeconds = (performance.now() - end) / 1000;
      await this.#trainBatch(batch);
      const stepSeconds = (performance.now() - end) / 1000;
      this.#report(batch, waitSeconds, stepSeconds);
      if (this.#stopped) return;
      end = performance.now();
    }
  }

  async #trainBatch({ step: pairs, texts }: OnlineBatch): Promise<void> {
    const { step, options, encode } = this.#opened;
    const learningRate = learningRateAt(this.#schedule, this.#step);
    if (pairs) {
      const { images, inputIds, pairKeys } = pairs;
      this.#last = await step.run(images, inputIds, learningRate, { pairKeys, draw: this.#step });
    }
    this.#step++;
    const isLastEpoch = this.#epoch === options.maxEpochs;
    if (isLastEpoch && options.onlineScope === 'all') await this.#keepFeatures(encode(texts));
  }

  async #keepFeatures(inputIds: Parameters<OpenedAdaptation['step']['encodeTexts']>[0]): Promise<void> {
    const { data } = await this.#opened.step.encodeTexts(inputIds);
    // A runtime may hand out the same buffer again at the next call.
    this.#features.push(data.slice());
  }

  #report(batch: OnlineBatch, waitSeconds: number, stepSeconds: number): void {
    this.#totals.add(batch, waitSeconds, stepSeconds);
    const { totalSteps } = this.#schedule;
    const { seconds } = this.#totals.summary('all', 'offline');
    const counts = countsOf(batch);
    if (counts.pairs < counts.queries)
      this.#log(
        'INFO',
        `step ${this.#step}/${totalSteps}: ${counts.queries - counts.pairs} of ${counts.queries} queries left out (${leftOutText(counts)})`,
      );
    this.#onEvent({
      kind: 'online-step',
      step: this.#step,
      totalSteps,
      epoch: this.#epoch,
      totalEpochs: this.#opened.options.maxEpochs,
      ...counts,
      ...(batch.step && this.#last && { loss: this.#last.loss }),
      learningRate: learningRateAt(this.#schedule, this.#step - 1),
      logitScale: this.#last?.logitScale ?? 0,
      waitSeconds,
      stepSeconds,
      etaSeconds: (seconds / this.#step) * (totalSteps - this.#step),
    });
  }

  /** Of the gate set, with the parameters of now; nothing where there is none. */
  async #recall() {
    const { gate, step, ports } = this.#opened;
    if (!gate) return undefined;
    const startedAt = performance.now();
    const recall = await recallOf(step, gate, ports.recall, this.#signal);
    return { recall, seconds: (performance.now() - startedAt) / 1000 };
  }

  async #judge(before: GateEvent['before'], secondsBefore: number): Promise<GateEvent | undefined> {
    const measured = await this.#recall();
    if (!measured) return undefined;
    const { gateMaxDrop } = this.#opened.options;
    const event: GateEvent = {
      kind: 'gate',
      ...judge(before, measured.recall, gateMaxDrop),
      seconds: secondsBefore + measured.seconds,
    };
    const limit = gateMaxDrop ? `, ${maxDropText(gateMaxDrop)} allowed` : '';
    this.#log(
      event.passed ? 'INFO' : 'WARNING',
      `gate ${event.passed ? 'passed' : 'not passed'}: mean recall ${before.meanRecall.toFixed(2)} before, ${measured.recall.meanRecall.toFixed(2)} after${limit}`,
    );
    this.#onEvent(event);
    return event;
  }

  async #save(): Promise<Pick<AdaptResult, 'checkpoint' | 'textFeatures'>> {
    const { options, step, start, optimizer } = this.#opened;
    const saved: { checkpoint?: string; textFeatures?: string } = {};
    if (options.output !== null) {
      const event = await writeAdaptedCheckpoint(options.output, step, {
        epochs: options.maxEpochs,
        start,
        steps: this.#schedule.totalSteps,
        optimizer,
        learningRate: learningRateAt(this.#schedule, this.#step - 1),
        online: this.#summary(),
      });
      saved.checkpoint = event.path;
      this.#onEvent(event);
    }
    if (options.textFeatures !== null) {
      await writeTextFeatures(options.textFeatures, await this.#scoredFeatures());
      saved.textFeatures = options.textFeatures;
    }
    return saved;
  }

  /** Taken right after each batch's last step, or, of queries that were not stepped on, with the final model. */
  async #scoredFeatures(): Promise<TextFeatures> {
    const { scored, options, encode } = this.#opened;
    if (options.onlineScope === 'exclude-scored')
      for (const batch of chunks(scored, options.batchSize))
        await this.#keepFeatures(encode(batch.map(({ text }) => text)));
    return { textIds: scored.map(({ textId }) => textId), parts: this.#features };
  }

  #summary() {
    return this.#totals.summary(this.#opened.options.onlineScope, this.#opened.images.mode);
  }

  #result(outcome: AdaptResult['outcome']): AdaptResult {
    return {
      outcome,
      step: this.#step,
      epoch: this.#epoch,
      ...(this.#last && { loss: this.#last.loss }),
      online: this.#summary(),
    };
  }

  #log(level: 'INFO' | 'WARNING', message: string): void {
    this.#onEvent({ kind: 'log', level, message });
  }
}
