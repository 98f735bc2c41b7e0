import {
  AdaptationOptions,
  Loss,
  OnlineScope,
  Optimizer,
  RunOptions,
} from '@online-cnclip/contracts/trainer/v1';
import { DataLossError } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clients } from '../clients.ts';
import type { EventStreams } from '../http/event-stream.ts';
import { parseInput } from '../http/input.ts';
import type { RunFeeds } from '../runs/run-feeds.ts';
import { checkpointView, runView } from '../views/run-view.ts';
import type { AdaptationForm, CheckpointView, RunEvents, RunForm, RunView } from '../wire.ts';

/** What the trainer refuses is refused by the trainer; here only what JSON may hold is checked. */
const text = z.string().trim().max(4_096);
const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const runForm = z.object({
  name: text.optional(),
  trainData: text.min(1),
  valData: text.optional(),
  maxSteps: whole.optional(),
  maxEpochs: whole.optional(),
  batchSize: whole.optional(),
  learningRate: z.number().positive().optional(),
  warmup: whole.optional(),
  validStepInterval: whole.optional(),
  contextLength: whole.optional(),
  visionModel: text.optional(),
  textModel: text.optional(),
  resume: text.optional(),
  loss: z.enum(['dsl', 'clip']).optional(),
  optimizer: z.enum(['lamb', 'adamw']).optional(),
}) satisfies z.ZodType<RunForm>;

const adaptationForm = z.object({
  name: text.optional(),
  model: text.min(1),
  queries: text.min(1),
  maxEpochs: whole,
  onlineQueries: text.optional(),
  imagesPerQuery: whole.optional(),
  batchSize: whole.optional(),
  contextLength: whole.optional(),
  learningRate: z.number().positive().optional(),
  warmup: whole.optional(),
  visionModel: text.optional(),
  textModel: text.optional(),
  trainData: text.optional(),
  replayRatio: z.number().min(0).optional(),
  gateData: text.optional(),
  gateMaxDrop: text.optional(),
  onlineScope: z.enum(['all', 'exclude-scored']).optional(),
  loss: z.enum(['dsl', 'clip']).optional(),
  optimizer: z.enum(['lamb', 'adamw']).optional(),
}) satisfies z.ZodType<AdaptationForm>;

const LOSSES = { dsl: Loss.LOSS_DSL, clip: Loss.LOSS_CLIP } as const;
const OPTIMIZERS = { lamb: Optimizer.OPTIMIZER_LAMB, adamw: Optimizer.OPTIMIZER_ADAMW } as const;

const SCOPES = {
  all: OnlineScope.ONLINE_SCOPE_ALL,
  'exclude-scored': OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED,
} as const;

interface RunParams {
  readonly Params: { readonly name: string };
}

export function trainingRoutes(
  app: FastifyInstance,
  { trainer }: Clients,
  feeds: RunFeeds,
  streams: EventStreams,
): void {
  app.get('/api/runs', async (): Promise<RunView[]> => feeds.list());

  app.post('/api/runs', async ({ body }): Promise<RunView> => {
    const { run } = await trainer.startRun({ options: runOptions(parseInput(runForm, body)) });
    // Watched at once, so that its first steps are on the curve.
    return (await feeds.feedOf(named(run).name)).run;
  });

  app.post('/api/adaptations', async ({ body }): Promise<RunView> => {
    const options = adaptationOptions(parseInput(adaptationForm, body));
    const { run } = await trainer.startAdaptation({ options });
    return (await feeds.feedOf(named(run).name)).run;
  });

  app.post<RunParams>('/api/runs/:name/stop', async ({ params }): Promise<RunView> => {
    const { run } = await trainer.stopRun({ name: params.name });
    return runView(named(run));
  });

  app.get<RunParams>('/api/runs/:name/checkpoints', async ({ params }): Promise<CheckpointView[]> => {
    const { checkpoints } = await trainer.listCheckpoints({ name: params.name });
    return checkpoints.map(checkpointView);
  });

  app.get<RunParams>('/api/runs/:name/events', async (request, reply) => {
    const feed = await feeds.feedOf(request.params.name);
    const lastId = request.headers['last-event-id'];
    await streams.serve<RunEvents>(request, reply, async (stream) => {
      for await (const { name, data, id } of feed.follow(lastId?.toString(), stream.signal))
        await stream.send(name, data, id);
    });
  });
}

const long = (value: number | undefined) => (value === undefined ? undefined : BigInt(value));

/** What the form leaves out stays out, so that the trainer's default counts. */
function runOptions({
  learningRate,
  loss,
  optimizer,
  maxSteps,
  warmup,
  validStepInterval,
  ...same
}: RunForm) {
  const given = {
    ...same,
    lr: learningRate,
    maxSteps: long(maxSteps),
    warmup: long(warmup),
    validStepInterval: long(validStepInterval),
    loss: loss && LOSSES[loss],
    optimizer: optimizer && OPTIMIZERS[optimizer],
  };
  return RunOptions.fromPartial(withoutUndefined(given));
}

function adaptationOptions({ learningRate, loss, optimizer, onlineScope, warmup, ...same }: AdaptationForm) {
  const given = {
    ...same,
    lr: learningRate,
    warmup: long(warmup),
    loss: loss && LOSSES[loss],
    optimizer: optimizer && OPTIMIZERS[optimizer],
    onlineScope: onlineScope && SCOPES[onlineScope],
  };
  return AdaptationOptions.fromPartial(withoutUndefined(given));
}

/** The same without the fields that are undefined, which the contract's types tell from absent ones. */
function withoutUndefined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
  return Object.fromEntries(defined) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function named<T>(run: T | undefined): T {
  if (!run) throw new DataLossError('the answer holds no run', { place: 'trainer' });
  return run;
}
