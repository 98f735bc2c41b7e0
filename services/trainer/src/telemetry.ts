import { type MetricSpec, type Telemetry, TRAINER_TELEMETRY } from '@online-cnclip/service-kit';
import { isGoingOn, type RunRecord } from './runs/run-record.ts';
import type { Runs } from './runs/runs.ts';

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
