import type { MetricSpec, Telemetry } from '@online-cnclip/service-kit';
import { isGoingOn } from './runs/run-record.ts';
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
  const { running, step, loss, throughput, recall } = TRAINER_TELEMETRY;
  telemetry.gauge(running, () => runs.list().filter(isGoingOn).length);
  telemetry.gauge(step, () => latest()?.step ?? 0);
  telemetry.gauge(loss, () => latest()?.latestStep?.loss ?? 0);
  telemetry.gauge(throughput, () => {
    const record = latest();
    return record && isGoingOn(record) ? (record.latestStep?.pairsPerSecond ?? 0) : 0;
  });
  telemetry.gauge(recall, () => latest()?.latestValidation?.recall.meanRecall ?? 0);
}
