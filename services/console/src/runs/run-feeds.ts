import { setTimeout as sleep } from 'node:timers/promises';
import type { TrainerClient } from '@online-cnclip/client';
import { ListRunsRequest, type WatchRunResponse } from '@online-cnclip/contracts/trainer/v1';
import { type Logger, messageOf } from '@online-cnclip/foundation';
import { untraced } from '@online-cnclip/service-kit';
import {
  checkpointView,
  gateView,
  onlineStepPoint,
  runView,
  stepPoint,
  validationPoint,
} from '../views/run-view.ts';
import { fieldsOf, timeOf } from '../views/scalars.ts';
import type { RunView } from '../wire.ts';
import { RunFeed } from './run-feed.ts';
import { MAX_STEPS } from './run-history.ts';

/** How soon a run that was started elsewhere is noticed: what its first seconds told is lost to the curves. */
const POLL_INTERVAL_MS = 2_000;
/** Runs whose curves are kept; the one that was asked for longest ago goes first. */
const MAX_FEEDS = 50;

const GOING_ON: ReadonlySet<string> = new Set(['starting', 'running', 'stopping']);

/**
 * Watches every run of the trainer from the moment it is noticed, whether a page is open or not, so that a page opened later
 * has the curves so far.
 */
export class RunFeeds {
  readonly #trainer: TrainerClient;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #feeds = new Map<string, RunFeed>();
  readonly #watched = new Set<string>();
  /** Asked once for what happened before the console looked. */
  readonly #recalled = new WeakMap<RunFeed, Promise<void>>();

  constructor(trainer: TrainerClient, logger: Logger, signal: AbortSignal) {
    this.#trainer = trainer;
    this.#logger = logger;
    this.#signal = signal;
  }

  /** Notices runs until the signal aborts. */
  async poll(): Promise<void> {
    while (!this.#signal.aborted) {
      await untraced(() => this.list()).catch((error: unknown) =>
        this.#logger.debug({ err: error }, 'the trainer cannot be asked for its runs'),
      );
      await sleep(POLL_INTERVAL_MS, undefined, { signal: this.#signal }).catch(() => undefined);
    }
  }

  /** Every run, the latest first; watches those that go on. */
  async list(): Promise<RunView[]> {
    const { runs } = await this.#trainer.listRuns(ListRunsRequest.fromPartial({}), { signal: this.#signal });
    const views = runs.map(runView);
    for (const view of views) if (GOING_ON.has(view.state)) this.#watch(view);
    return views;
  }

  /** @throws NotFoundError when there is no such run. */
  async feedOf(name: string): Promise<RunFeed> {
    const { run } = await this.#trainer.getRun({ name }, { signal: this.#signal });
    const view = run && runView(run);
    if (view && GOING_ON.has(view.state)) this.#watch(view);
    const feed = this.#feed(view ?? missing(name));
    await this.#recall(name, feed);
    return feed;
  }

  #feed(view: RunView): RunFeed {
    const feed = this.#feeds.get(view.name) ?? new RunFeed(view);
    // A run that nobody watched any more may have ended, or gone on, meanwhile.
    if (!this.#watched.has(view.name) && feed.run.state !== view.state)
      feed.publish({ name: 'run', data: view });
    this.#feeds.delete(view.name);
    this.#feeds.set(view.name, feed);
    for (const name of this.#feeds.keys()) {
      if (this.#feeds.size <= MAX_FEEDS) break;
      if (!this.#watched.has(name)) this.#feeds.delete(name);
    }
    return feed;
  }

  #watch(view: RunView): void {
    const feed = this.#feed(view);
    if (this.#watched.has(view.name)) return;
    this.#watched.add(view.name);
    this.#followTrainer(view.name, feed)
      .catch((error: unknown) => {
        // The next poll watches again.
        if (!this.#signal.aborted)
          this.#logger.warn({ run: view.name, reason: messageOf(error) }, 'a watched run was lost');
      })
      .finally(() => this.#watched.delete(view.name));
  }

  /** A trainer that cannot tell of the past (an older one) leaves the curves to begin now. */
  #recall(name: string, feed: RunFeed): Promise<void> {
    const asked = this.#recalled.get(feed) ?? this.#askForHistory(name, feed);
    this.#recalled.set(feed, asked);
    return asked;
  }

  async #askForHistory(name: string, feed: RunFeed): Promise<void> {
    try {
      const request = { name, maxSteps: MAX_STEPS };
      const { updates } = await this.#trainer.getRunHistory(request, { signal: this.#signal });
      for (const update of updates) publishUpdate(feed, update);
    } catch (error) {
      this.#logger.debug({ run: name, err: error }, 'the trainer does not tell what happened in a run');
    }
  }

  async #followTrainer(name: string, feed: RunFeed): Promise<void> {
    await this.#recall(name, feed);
    for await (const update of this.#trainer.watchRun({ name }, { signal: this.#signal })) {
      publishUpdate(feed, update);
    }
  }
}

function publishUpdate(feed: RunFeed, { time, event }: WatchRunResponse): void {
  if (!event) return;
  switch (event.$case) {
    case 'run':
      feed.publish({ name: 'run', data: runView(event.value) });
      return;
    case 'step':
      feed.publish({ name: 'step', data: stepPoint(event.value) });
      return;
    case 'validation':
      feed.publish({ name: 'validation', data: validationPoint(event.value) });
      return;
    case 'onlineStep': {
      const point = onlineStepPoint(event.value);
      if (point) feed.publish({ name: 'step', data: point });
      return;
    }
    case 'gate':
      feed.publish({ name: 'gate', data: gateView(event.value) });
      return;
    case 'checkpoint':
      feed.publish({ name: 'checkpoint', data: checkpointView(event.value) });
      return;
    default: {
      // What a later contract tells is shown as it is.
      const later: { readonly $case: string; readonly value: object } = event;
      feed.publish({
        name: 'other',
        data: { name: later.$case, at: timeOf(time), fields: fieldsOf(later.value) },
      });
    }
  }
}

const missing = (name: string): RunView => ({
  name,
  state: 'unknown',
  step: 0,
  totalSteps: 0,
  epoch: 0,
  totalEpochs: 0,
  startedAt: null,
  endedAt: null,
  error: '',
  folder: '',
  latest: null,
  validation: null,
  gate: null,
  online: {},
  servedCheckpoint: '',
  options: {},
});
