// Every metric of every service, declared before anything emits it. docs/operations.md, the dashboard and the alert rules are
// checked against this file, and so is what the running services emit.

/** A metric as it is declared. */
export interface MetricSpec<L extends string = string> {
  /** Ends with the unit, as Prometheus has it: `_seconds`, `_bytes`, `_total`, or the things counted. */
  readonly name: string;
  /** What it says, for whoever draws the chart. */
  readonly help: string;
  readonly labels?: readonly L[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

/** What every process tells of itself. */
export const PROCESS_TELEMETRY = {
  build: {
    name: 'onlinecnclip_build_info',
    help: 'What runs; always 1',
    labels: ['version', 'node'],
  },
} as const satisfies Record<string, MetricSpec>;

/** What tracing tells of itself; there where it is switched on. */
export const TRACING_TELEMETRY = {
  spans: {
    name: 'onlinecnclip_trace_spans_total',
    help: 'Spans sent to the collector, or lost because it did not take them',
    labels: ['result'],
  },
} as const satisfies Record<string, MetricSpec>;

/** The metrics that every service has. */
export const RPC_TELEMETRY = {
  duration: {
    name: 'onlinecnclip_rpc_duration_seconds',
    help: 'Time from the arrival of a call to the end of its handler, by method and gRPC status code',
    labels: ['method', 'code'],
    // A tokenizer's answer takes 0.2 ms, a batch of images seconds, a watched run hours.
    buckets: [0.0005, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600, 3600],
  },
  inFlight: {
    name: 'onlinecnclip_rpc_in_flight_calls',
    help: 'Calls whose handler has not ended',
    labels: ['method'],
  },
  received: {
    name: 'onlinecnclip_rpc_received_messages_total',
    help: 'Request messages handed to handlers',
    labels: ['method'],
  },
  sent: {
    name: 'onlinecnclip_rpc_sent_messages_total',
    help: 'Response messages from handlers',
    labels: ['method'],
  },
  refused: {
    name: 'onlinecnclip_rpc_refused_calls_total',
    help: 'Calls refused because the service was draining',
    labels: ['method'],
  },
} as const satisfies Record<string, MetricSpec>;

/** What the admission of calls by their cost tells, see docs/flow-control.md. */
export const ADMISSION_TELEMETRY = {
  running: {
    name: 'onlinecnclip_rpc_admitted_cost',
    help: 'Cost of the calls and messages that are worked on, in the unit of their budget',
    labels: ['budget'],
  },
  waiting: {
    name: 'onlinecnclip_rpc_queued_cost',
    help: 'Cost of the calls and messages that wait for their turn, in the unit of their budget',
    labels: ['budget'],
  },
  waitingCalls: {
    name: 'onlinecnclip_rpc_queued_calls',
    help: 'Calls and messages of streams that wait for their turn',
    labels: ['budget'],
  },
  refused: {
    name: 'onlinecnclip_rpc_admission_refusals_total',
    help: 'Calls refused with RESOURCE_EXHAUSTED before anything was done for them, by what was full',
    labels: ['budget', 'reason'],
  },
} as const satisfies Record<string, MetricSpec>;

/** The metrics of who is let in. */
export const SECURITY_TELEMETRY = {
  refused: {
    name: 'onlinecnclip_security_refused_total',
    help: 'Connections, calls and readings of metrics refused for what their caller is; the log says why',
    labels: ['what'],
  },
} as const satisfies Record<string, MetricSpec>;

/** What a process tells of its certificate; there where it has one. */
export const TLS_TELEMETRY = {
  expiry: {
    name: 'onlinecnclip_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use expires, in seconds since 1970; absent with plain text',
  },
} as const satisfies Record<string, MetricSpec>;

/** The encoder's own metrics, beside those of every service. */
export const ENCODER_TELEMETRY = {
  batchItems: {
    name: 'onlinecnclip_encoder_batch_items',
    help: 'Texts or images computed in one run',
    labels: ['tower'],
    buckets: [1, 2, 4, 8, 16, 32, 64],
  },
  batchWait: {
    name: 'onlinecnclip_encoder_batch_wait_seconds',
    help: 'Time that the oldest item of a run waited for it',
    labels: ['tower'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  },
  batchRun: {
    name: 'onlinecnclip_encoder_batch_run_seconds',
    help: 'Time of one run',
    labels: ['tower'],
    buckets: [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  },
  tokens: {
    name: 'onlinecnclip_encoder_computed_tokens_total',
    help: 'Positions that the text tower computed, by what they were: text, or the padding of shorter texts in a batch',
    labels: ['kind'],
  },
  model: {
    name: 'onlinecnclip_encoder_model_info',
    help: 'The model that takes the calls; always 1',
    labels: ['fingerprint', 'vision_model', 'text_model'],
  },
  queuedTexts: {
    name: 'onlinecnclip_encoder_queued_texts',
    help: 'Texts that wait or are being computed with the current model',
  },
  queuedImages: {
    name: 'onlinecnclip_encoder_queued_images',
    help: 'Images that wait, are being decoded or computed with the current model',
  },
} as const satisfies Record<string, MetricSpec>;

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

/** The crawler's own metrics, beside those of every service. */
export const CRAWLER_TELEMETRY = {
  queries: {
    name: 'onlinecnclip_crawler_queries_total',
    help: 'Queries that ended, without those answered from the cache',
    labels: ['state', 'reason'],
  },
  duration: {
    name: 'onlinecnclip_crawler_query_seconds',
    help: 'Time from the acceptance of a query to its outcome',
    buckets: [0.25, 1, 4, 10, 20, 60, 180, 600, 1800],
  },
  answers: {
    name: 'onlinecnclip_crawler_answers_total',
    help: 'Queries answered, from the cache or with a request to the site',
    labels: ['from'],
  },
  downloads: {
    name: 'onlinecnclip_crawler_downloads_total',
    help: 'Images fetched, or why not',
    labels: ['result'],
  },
  inFlight: {
    name: 'onlinecnclip_crawler_accepted_queries',
    help: 'Queries accepted that have not ended',
  },
  sessions: {
    name: 'onlinecnclip_crawler_sessions',
    help: 'Sessions by state',
    labels: ['state'],
  },
  usable: {
    name: 'onlinecnclip_crawler_usable_sessions',
    help: 'Sessions that are ready or at work',
  },
  stuck: {
    name: 'onlinecnclip_crawler_stuck_sessions',
    help: 'Sessions that wait for a person: parked, expired or suspect',
  },
} as const satisfies Record<string, MetricSpec>;

/** The console's metrics. */
export const CONSOLE_TELEMETRY = {
  duration: {
    name: 'onlinecnclip_console_request_duration_seconds',
    help: 'Time from the arrival of an HTTP request to the end of its answer, by route and status',
    labels: ['route', 'status'],
    buckets: [0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  streams: {
    name: 'onlinecnclip_console_open_streams',
    help: 'Pages that watch something live',
  },
} as const satisfies Record<string, MetricSpec>;
/** The ranker's own metrics, beside those of every service. */
export const RANKER_TELEMETRY = {
  indexes: {
    name: 'onlinecnclip_ranker_indexes',
    help: 'Indexes of the engine',
  },
  items: {
    name: 'onlinecnclip_ranker_items',
    help: 'Items of all indexes',
  },
  info: {
    name: 'onlinecnclip_ranker_index_info',
    help: 'Each index with the fingerprint of its vectors, empty where that is not known; always 1',
    labels: ['index', 'fingerprint'],
  },
  commits: {
    name: 'onlinecnclip_ranker_commit_seconds',
    help: 'Time that it took to make the changes that came together durable',
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  },
} as const satisfies Record<string, MetricSpec>;

const EVERY_PROCESS = [PROCESS_TELEMETRY, TRACING_TELEMETRY, SECURITY_TELEMETRY, TLS_TELEMETRY];
const EVERY_SERVICE = [...EVERY_PROCESS, RPC_TELEMETRY, ADMISSION_TELEMETRY];

const specsOf = (...groups: Readonly<Record<string, MetricSpec>>[]): readonly MetricSpec[] =>
  groups.flatMap((group) => Object.values(group));

/** What each process tells at `/metrics`, besides what Node and the operating system tell of it. */
export const METRICS_OF_SERVICE = {
  encoder: specsOf(...EVERY_SERVICE, ENCODER_TELEMETRY),
  trainer: specsOf(...EVERY_SERVICE, TRAINER_TELEMETRY),
  ranker: specsOf(...EVERY_SERVICE, RANKER_TELEMETRY),
  crawler: specsOf(...EVERY_SERVICE, CRAWLER_TELEMETRY),
  console: specsOf(...EVERY_PROCESS, CONSOLE_TELEMETRY),
} as const;
