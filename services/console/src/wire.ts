// What travels between the console's server and its page, as JSON. Types only: the page imports them too.
// Numbers that may exceed 2^53 (ids) are decimal text; times are milliseconds since 1970; bytes are data URLs.

/** Body of every answer that is not 2xx. */
export interface ErrorAnswer {
  readonly error: {
    /** ApplicationError's kind, `remote` for a defect of a service behind, `internal` for one of the console. */
    readonly kind: string;
    readonly message: string;
  };
}

export interface ServiceHealth {
  readonly name: string;
  readonly address: string;
  readonly state: 'serving' | 'not-serving' | 'unreachable';
  /** Why it cannot be reached. */
  readonly detail: string;
}

export interface ModelView {
  readonly checkpointPath: string;
  readonly visionModel: string;
  readonly textModel: string;
  readonly fingerprint: string;
  readonly embeddingDimension: number;
  readonly contextLength: number;
  readonly imageResolution: number;
  readonly loadedAt: number | null;
}

export interface Overview {
  readonly services: readonly ServiceHealth[];
  /** Null while none is loaded or the encoder cannot be reached. */
  readonly model: ModelView | null;
}

export interface IndexView {
  readonly name: string;
  readonly items: string;
  readonly dimension: number;
  /** Empty while that is not known. */
  readonly modelFingerprint: string;
  readonly createdAt: number | null;
  /** Whether the console knows where this index's pictures are. */
  readonly pictures: boolean;
}

export interface SearchCatalog {
  readonly indexes: readonly IndexView[];
  readonly model: ModelView | null;
}

export interface TextSearch {
  readonly index: string;
  readonly text: string;
  readonly topK: number;
}

export interface Hit {
  readonly id: string;
  /** Cosine, -1 to 1. */
  readonly score: number;
  /** Where the page gets the picture; null when there is none. */
  readonly picture: string | null;
}

export interface SearchAnswer {
  readonly index: IndexView;
  readonly model: ModelView | null;
  readonly hits: readonly Hit[];
  readonly milliseconds: number;
}

export type RunStateName =
  | 'starting'
  | 'running'
  | 'stopping'
  | 'completed'
  | 'stopped'
  | 'failed'
  | 'interrupted'
  | 'unknown';

export interface RunView {
  readonly name: string;
  readonly state: RunStateName;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly totalEpochs: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** Why it failed; empty otherwise. */
  readonly error: string;
  readonly folder: string;
  /** Latest loss, learning rate and so on; null before the first report. */
  readonly latest: StepPoint | null;
  readonly validation: ValidationPoint | null;
  /** What an online run's gate said; null before it was measured, and for other runs. */
  readonly gate: GateView | null;
  /** What an online run did in all, in the words of the contract; empty before its end, and for other runs. */
  readonly online: Readonly<Record<string, string>>;
  /** The checkpoint that the encoder was told to load; empty where none was. */
  readonly servedCheckpoint: string;
  /** Options in the words of the contract, as text. */
  readonly options: Readonly<Record<string, string>>;
}

/** Whether adapted weights were good enough: mean recall on the gate set, in percent. */
export interface GateView {
  readonly passed: boolean;
  readonly before: number | null;
  readonly after: number | null;
  /** Percentage points lost; below 0 where recall has risen. */
  readonly drop: number;
  /** As the run was told: percentage points, or a share with %; empty for any. */
  readonly maxDrop: string;
}

/** The model that the encoder went back to, and the one that it left. */
export interface RollBack {
  readonly checkpointPath: string;
  readonly replacedCheckpointPath: string;
}

export interface StepPoint {
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly pairsPerSecond: number;
  readonly etaSeconds: number;
}

export interface ValidationPoint {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Percent. */
  readonly recallAt1: number | null;
  readonly recallAt5: number | null;
  readonly recallAt10: number | null;
  readonly meanRecall: number | null;
}

export interface CheckpointView {
  readonly path: string;
  readonly epoch: number;
  readonly step: number;
  readonly bytes: number;
  readonly savedAt: number | null;
}

/** An event of a run that has no chart of its own, in the words of the contract. */
export interface OtherRunEvent {
  readonly name: string;
  readonly at: number | null;
  readonly fields: Readonly<Record<string, string>>;
}

/** Events of the stream of one run, by their names. */
export interface RunEvents {
  run: RunView;
  step: StepPoint;
  validation: ValidationPoint;
  checkpoint: CheckpointView;
  gate: GateView;
  other: OtherRunEvent;
  /** What was kept so far; replaces everything the page has. `since` is the first step that was seen. */
  history: {
    readonly run: RunView;
    readonly steps: readonly StepPoint[];
    readonly validations: readonly ValidationPoint[];
    readonly others: readonly OtherRunEvent[];
  };
}

/** The main options of a run; what is left out has the trainer's default. */
export interface RunForm {
  readonly name?: string | undefined;
  readonly trainData: string;
  readonly valData?: string | undefined;
  readonly maxSteps?: number | undefined;
  readonly maxEpochs?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly learningRate?: number | undefined;
  readonly warmup?: number | undefined;
  readonly validStepInterval?: number | undefined;
  readonly contextLength?: number | undefined;
  readonly visionModel?: string | undefined;
  readonly textModel?: string | undefined;
  readonly resume?: string | undefined;
  readonly loss?: 'dsl' | 'clip' | undefined;
  readonly optimizer?: 'lamb' | 'adamw' | undefined;
}

/** The main options of test-time online learning; what is left out has the trainer's default. */
export interface AdaptationForm {
  readonly name?: string | undefined;
  readonly model: string;
  readonly queries: string;
  readonly maxEpochs: number;
  readonly onlineQueries?: string | undefined;
  readonly imagesPerQuery?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly contextLength?: number | undefined;
  readonly learningRate?: number | undefined;
  readonly warmup?: number | undefined;
  readonly visionModel?: string | undefined;
  readonly textModel?: string | undefined;
  /** Data set that pairs are replayed from. */
  readonly trainData?: string | undefined;
  readonly replayRatio?: number | undefined;
  readonly gateData?: string | undefined;
  readonly gateMaxDrop?: string | undefined;
  readonly onlineScope?: 'all' | 'exclude-scored' | undefined;
  readonly loss?: 'dsl' | 'clip' | undefined;
  readonly optimizer?: 'lamb' | 'adamw' | undefined;
}

export type SessionStateName =
  | 'new'
  | 'login-wait'
  | 'login-scanned'
  | 'probing'
  | 'ready'
  | 'leased'
  | 'cooling'
  | 'parked'
  | 'expired'
  | 'suspect'
  | 'retired'
  | 'unknown';

export interface SessionView {
  readonly id: string;
  readonly label: string;
  readonly state: SessionStateName;
  readonly reason: string;
  readonly qrCode: {
    readonly image: string;
    readonly expiresAt: number | null;
    readonly attempt: number;
  } | null;
  readonly challenge: string | null;
  readonly resumesAt: number | null;
  readonly queriesToday: number;
  readonly dailyCap: number;
  readonly openedAt: number | null;
  readonly changedAt: number | null;
}

export interface SessionEvents {
  session: SessionView;
  /** Ids of every session there is; others are gone. */
  sessions: { readonly ids: readonly string[] };
  /** The crawler cannot be reached, or can again (empty message). */
  trouble: { readonly message: string };
}

export interface BrowserView {
  readonly installed: boolean;
  readonly version: string;
  readonly advice: string;
}

export interface CrawlForm {
  readonly queries: readonly string[];
  readonly wanted: number;
  readonly refresh: boolean;
}

export type QueryStateName = 'ok' | 'no-results' | 'deferred' | 'failed';

/** Why a query failed, in the contract's words: `rate-limited`; `none` when it did not. */
export type FailureName = string;

export interface QueryOutcome {
  readonly query: string;
  readonly state: QueryStateName;
  readonly failure: FailureName;
  readonly message: string;
  readonly images: number;
  readonly cached: boolean;
  readonly retryAt: number | null;
}

export interface CrawlView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled' | 'broken';
  /** Why it broke. */
  readonly error: string;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly total: number;
  readonly counts: Readonly<Record<QueryStateName, number>>;
  readonly images: number;
  readonly failures: Readonly<Record<FailureName, number>>;
  /** The latest outcomes, the newest first. */
  readonly recent: readonly QueryOutcome[];
}

export interface CrawlEvents {
  crawl: CrawlView;
}

export interface FailureView extends QueryOutcome {
  readonly attempts: number;
  readonly attemptedAt: number | null;
}

export interface FailureList {
  readonly failures: readonly FailureView[];
  readonly total: string;
}

export interface CrawledImageView {
  readonly id: string;
  readonly image: string;
  readonly sourceUrl: string;
  readonly pageUrl: string;
  readonly rank: number;
  readonly fetchedAt: number | null;
}

export interface CrawledImages {
  readonly outcome: QueryOutcome;
  readonly images: readonly CrawledImageView[];
}
