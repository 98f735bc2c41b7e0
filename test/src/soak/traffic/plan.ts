import type { Latencies } from './percentiles.ts';

/** A request of the load, as bytes, and what its answer has to be. */
export interface PlannedRequest {
  /** `/onlinecnclip.encoder.v1.EncoderService/EncodeText`. */
  readonly path: string;
  /** The message in base64. */
  readonly message: string;
  /** The vectors of the answer, float32 in base64; empty where only its status counts. */
  readonly expected: readonly string[];
}

/** So many calls at once, the next as one ends; or calls at random times (Poisson), whatever became of those before. */
export type Phase = { readonly seconds: number } & (
  | { readonly callsAtOnce: number }
  | { readonly callsPerSecond: number }
);

export interface TrafficPlan {
  readonly address: string;
  readonly seed: number;
  /** Deadline of each call. */
  readonly timeoutMs?: number;
  readonly phases: readonly Phase[];
  /** File of a {@link PlannedRequest} array. */
  readonly requestsPath: string;
}

export interface PhaseResult {
  readonly seconds: number;
  readonly sent: number;
  readonly right: number;
  readonly wrong: number;
  /** Calls by their gRPC status. */
  readonly codes: Readonly<Record<string, number>>;
  /** Of calls that went well, from when they were due. */
  readonly answered: Latencies;
  /** Of RESOURCE_EXHAUSTED, from when they were sent. */
  readonly refused: Latencies;
  /** How much later than due calls were sent: the generator's own fault. */
  readonly lag: Latencies;
  /** When the last call that did not go well was due, from the beginning of the phase. */
  readonly lastFailureMs: number;
  /** CPU time of the generator. */
  readonly cpuSeconds: number;
  /** For a person: the first answer that was neither right nor a status of load. */
  readonly complaint?: string;
}
