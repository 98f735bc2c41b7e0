import type { MetricSpec, Telemetry } from '@online-cnclip/service-kit';
import { isGoingOn, type RunRecord } from './runs/run-record.ts';
import type { Runs } from './runs/runs.ts';

/** The trainer's own metrics, beside those of every service; all of the run started last. */
export const TRAINER_TELEMETRY = {
  running: {
    name: 'onlinecnclip_trainer_running_runs',
    help: 'Runs going on',
  },
  step: {
    name: 'onlinecnclip_trainer_step_steps',
    help: 'Steps done',
  },
  loss: {
    name: 'onlinecnclip_trainer_loss_nats',
    help: 'Loss of the step reported last',
  },
  logitScale: {
    name: 'onlinecnclip_trainer_logit_scale_nats',
    help: 'The parameter logit_scale after the step reported last: the natural logarithm of the scale',
  },
  learningRate: {
    name: 'onlinecnclip_trainer_learning_rate_ratio',
    help: 'Learning rate of the step reported last',
  },
  skipped: {
    name: 'onlinecnclip_trainer_skipped_steps',
    help: 'Steps left out because half precision overflowed, since the run was started',
  },
  onlinePairs: {
    name: 'onlinecnclip_trainer_online_new_pairs',
    help: 'Queries of the online step reported last that had an image',
  },
  onlineLeftOut: {
    name: 'onlinecnclip_trainer_online_left_out_queries',
    help: 'Queries of the online step reported last that had none',
  },
  onlineWait: {
    name: 'onlinecnclip_trainer_online_wait_seconds',
    help: 'Time that the online step reported last waited for its images',
  },
  throughput: {
    name: 'onlinecnclip_trainer_throughput_pairs_per_second',
    help: 'Pairs trained per second between the last two reports; 0 when no run is going on',
  },
  recall: {
    name: 'onlinecnclip_trainer_validation_mean_recall_percent',
    help: 'Mean of recall at 1, 5 and 10 of the last validation',
  },
} as const satisfies Record<string, MetricSpec>;

export function observeRuns(telemetry: Telemetry, runs: Runs): void {
  const latest = () => runs.list()[0];
  const read = (spec: MetricSpec, value: (record: RunRecord) => number | undefined) =>
    telemetry.gauge(spec, () => {
      const record = latest();
      return (record && value(record)) ?? 0;
    });
  const metrics = TRAINER_TELEMETRY;
  telemetry.gauge(metrics.running, () => runs.list().filter(isGoingOn).length);
  read(metrics.step, ({ step }) => step);
  read(metrics.loss, (record) => stepOf(record)?.loss);
  read(metrics.logitScale, (record) => stepOf(record)?.logitScale);
  read(metrics.learningRate, (record) => stepOf(record)?.learningRate);
  read(metrics.skipped, ({ latestStep }) => latestStep?.skippedSteps);
  read(metrics.onlinePairs, ({ latestOnlineStep }) => latestOnlineStep?.pairs);
  read(
    metrics.onlineLeftOut,
    ({ latestOnlineStep }) => latestOnlineStep && latestOnlineStep.queries - latestOnlineStep.pairs,
  );
  read(metrics.onlineWait, ({ latestOnlineStep }) => latestOnlineStep?.waitSeconds);
  read(metrics.throughput, (record) => (isGoingOn(record) ? pairsPerSecondOf(record) : 0));
  read(metrics.recall, ({ latestValidation }) => latestValidation?.recall.meanRecall);
}

/** A training's own step; an adaptation has online steps only. */
const stepOf = ({ latestStep, latestOnlineStep }: RunRecord) => latestStep ?? latestOnlineStep;

function pairsPerSecondOf({ latestStep, latestOnlineStep }: RunRecord): number | undefined {
  if (latestStep || !latestOnlineStep) return latestStep?.pairsPerSecond;
  const { pairs, replayed, stepSeconds } = latestOnlineStep;
  return stepSeconds > 0 ? (pairs + replayed) / stepSeconds : 0;
}
