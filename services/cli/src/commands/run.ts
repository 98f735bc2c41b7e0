import { createTrainerClient, type TrainerClient } from '@online-cnclip/client';
import { errorOfItem } from '@online-cnclip/contracts';
import {
  type Run,
  RunState,
  type StepReport,
  type ValidationReport,
  type WatchRunResponse,
} from '@online-cnclip/contracts/trainer/v1';
import { CancelledError } from '@online-cnclip/foundation';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { gateText, onlineLines, onlineStepText } from '../online-report.ts';
import type { ProgressTask } from '../progress.ts';
import { replicaRates, StragglerReport } from '../replica-report.ts';
import { addressOption, withClient } from '../services.ts';

interface Options {
  readonly address: string;
}

export function configure(command: Command, context: CliContext): void {
  const list = command.command('list').description('Lists the runs, the latest first.');
  list.action((options: Options) => withTrainer(options, context, (trainer) => listRuns(trainer, context)));
  const watch = command
    .command('watch')
    .description('Follows a run until it ends; Ctrl-C leaves it running.');
  watch.argument('<name>', 'name of the run');
  watch.action((name: string, options: Options) =>
    withTrainer(options, context, (trainer) => watchRun(trainer, name, context)),
  );
  const stop = command.command('stop').description('Has a run finish its step, save and end.');
  stop.argument('<name>', 'name of the run');
  stop.action((name: string, options: Options) =>
    withTrainer(options, context, (trainer) => stopRun(trainer, name, context)),
  );
  for (const one of [list, watch, stop]) addressOption(one, 'trainer');
}

const withTrainer = (
  options: Options,
  context: CliContext,
  use: (trainer: TrainerClient) => Promise<void>,
): Promise<void> => withClient(context, createTrainerClient, options.address, use);

async function listRuns(trainer: TrainerClient, { print, stopSignal }: CliContext): Promise<void> {
  const { runs } = await trainer.listRuns({ states: [] }, { signal: stopSignal() });
  for (const run of runs) print(describeRun(run));
}

async function stopRun(
  trainer: TrainerClient,
  name: string,
  { print, stopSignal }: CliContext,
): Promise<void> {
  const { run } = await trainer.stopRun({ name }, { signal: stopSignal() });
  if (run) print(describeRun(run));
}

async function watchRun(trainer: TrainerClient, name: string, context: CliContext): Promise<void> {
  const view = new RunView(context);
  try {
    for await (const message of trainer.watchRun({ name }, { signal: context.stopSignal() }))
      view.show(message);
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    context.progress.note(`${name} goes on`);
  } finally {
    view.end();
  }
  const failure = errorOfItem(view.run?.error);
  if (failure) throw failure;
}

function describeRun({ name, state, step, totalSteps, epoch, totalEpochs, latestCheckpoint }: Run): string {
  const saved = latestCheckpoint ? `  ${latestCheckpoint.path}` : '';
  return `${name}  ${stateName(state)}  step ${step}/${totalSteps}  epoch ${epoch}/${totalEpochs}${saved}`;
}

const stateName = (state: RunState): string =>
  (Object.entries(RunState).find(([, value]) => value === state)?.[0] ?? String(state)).replace(
    'RUN_STATE_',
    '',
  );

/** A run on the terminal: a bar of its steps, and a line for all else that happens. */
class RunView {
  readonly #context: CliContext;
  readonly #stragglers = new StragglerReport();
  #task: ProgressTask | undefined;
  /** As it was told last. */
  run: Run | undefined;

  constructor(context: CliContext) {
    this.#context = context;
  }

  show({ event }: WatchRunResponse): void {
    const { print, progress } = this.#context;
    if (event?.$case === 'step') {
      this.#task ??= progress.start('steps', Number(event.value.totalSteps));
      this.#task.update(Number(event.value.step), stepText(event.value), event.value.etaSeconds);
      const stragglers = this.#stragglers.of(event.value.replicas);
      if (stragglers !== undefined) progress.note(stragglers);
      return;
    }
    if (event?.$case === 'onlineStep') {
      this.#task ??= progress.start('online steps', Number(event.value.totalSteps));
      this.#task.update(Number(event.value.step), onlineStepText(event.value), event.value.etaSeconds);
      return;
    }
    if (event?.$case === 'gate') progress.note(gateText(event.value));
    if (event?.$case === 'run') {
      this.run = event.value;
      this.end();
      print(describeRun(event.value));
      for (const line of onlineLines(event.value)) print(line);
    }
    if (event?.$case === 'validation') progress.note(validationText(event.value));
    if (event?.$case === 'checkpoint') progress.note(`saved ${event.value.path}`);
  }

  end(): void {
    this.#task?.end();
    this.#task = undefined;
  }
}

function stepText({ loss, pairsPerSecond, replicas, lossScale, skippedSteps }: StepReport): string {
  const half = lossScale === undefined ? '' : `, loss scale ${lossScale}, ${skippedSteps ?? 0} steps skipped`;
  const each = replicaRates(replicas);
  return `loss ${loss.toFixed(4)}, ${pairsPerSecond.toFixed(1)} pairs/s${half}${each && `, ${each}`}`;
}

function validationText({ step, loss, recall }: ValidationReport): string {
  const recalls = recall
    ? `, R@1 ${recall.recallAt1.toFixed(2)}, R@5 ${recall.recallAt5.toFixed(2)}, R@10 ${recall.recallAt10.toFixed(2)}`
    : '';
  return `validation at step ${step}: loss ${loss.toFixed(4)}${recalls}`;
}
